"""Why a task that is worked on is no longer ours."""

from collections.abc import Mapping
from enum import StrEnum, auto

from darkroom.errors import TransitionRefusedError
from darkroom.tasks import Refusal, TaskStatus


class Abort(StrEnum):
    """Why a task is no longer ours to finish."""

    CANCELLED = auto()
    EXPIRED = auto()
    ENDED = auto()  # in some other way
    UNKNOWN = auto()
    REPLACED = auto()
    SUPERSEDED = auto()  # another attempt holds it
    NOT_RUNNING = auto()  # it was given back behind our back
    LAPSED = auto()  # AWS could not be reached until the lease ran out

    @property
    def message_is_spent(self) -> bool:
        """True where the message leads to nothing any more, for nobody."""
        return self in _SPENT


_SPENT = frozenset({Abort.CANCELLED, Abort.EXPIRED, Abort.ENDED, Abort.UNKNOWN, Abort.REPLACED})

_ENDS: Mapping[TaskStatus | None, Abort] = {
    TaskStatus.CANCELLED: Abort.CANCELLED,
    TaskStatus.EXPIRED: Abort.EXPIRED,
}
_REFUSALS = {
    Refusal.UNKNOWN: Abort.UNKNOWN,
    Refusal.REPLACED: Abort.REPLACED,
    Refusal.NOT_RUNNING: Abort.NOT_RUNNING,
}


def abort_for(refused: TransitionRefusedError) -> Abort:
    """What a refusal means for the one who holds the task."""
    status = refused.task.status if refused.task is not None else None
    if refused.refusal is Refusal.ENDED:
        return _ENDS.get(status, Abort.ENDED)
    return _REFUSALS.get(refused.refusal, Abort.SUPERSEDED)
