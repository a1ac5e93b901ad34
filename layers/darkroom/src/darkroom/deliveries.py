"""How the delivery of a webhook goes: its tries, its schedule, its end.

Every decision here is a value; `darkroom.couriers` acts on it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum, auto
from http import HTTPStatus
from typing import Literal, Self
from uuid import UUID, uuid5

from darkroom.models import Model, Timestamp
from darkroom.notices import Notice
from darkroom.tasks import TaskKey
from darkroom.webhooks import AnyWebhookEvent


class Fault(StrEnum):
    """Why a try brought no answer."""

    TIMEOUT = auto()  # no answer in time
    UNKNOWN_HOST = auto()  # the name has no address
    FORBIDDEN_ADDRESS = auto()  # it has, but no public one
    TLS_FAILED = auto()  # its certificate is not to be trusted, or there was no common ground
    CONNECTION_FAILED = auto()  # nobody listens, or the connection broke
    BAD_ANSWER = auto()  # what came is not HTTP
    UNKNOWN_SECRET = auto()  # the owner has no secret of that name


@dataclass(frozen=True)
class Reply:
    """What came of posting once: a status, or a fault. `retry_after` is what the answer asked for, in seconds."""

    status: int | None = None
    fault: Fault | None = None
    retry_after: float | None = None

    @property
    def delivered(self) -> bool:
        """True where the receiver took it. A redirect is no success: it is not followed."""
        return self.status is not None and HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def final(self) -> bool:
        """True where trying again is not wanted (410 Gone), or not allowed."""
        return self.status == HTTPStatus.GONE or self.fault is Fault.FORBIDDEN_ADDRESS


@dataclass(frozen=True)
class Schedule:
    """When a failed delivery is tried again. Times are in seconds.

    Attributes:
        delays: between one try and the next; after the last there is no other.
        jitter: by which part of itself a delay may be shorter or longer, so that receivers who come back are not
            asked by all at once.
        max_retry_after: the longest `Retry-After` that is honoured.
        lasting: whether an end without success is told, and its message kept with the dead letters.
    """

    delays: tuple[float, ...]
    jitter: float = 0.1
    max_retry_after: float = 3600
    lasting: bool = True

    def delay(self, made: int, retry_after: float | None, chance: Callable[[], float]) -> float | None:
        """How long to wait after the try number `made`, or None: that was the last.

        Args:
            made: how many tries there were, this one included.
            retry_after: what the receiver asked for.
            chance: a random number from 0 to 1.
        """
        if made > len(self.delays):
            return None
        spread = self.delays[made - 1] * (1 + self.jitter * (2 * chance() - 1))
        return max(spread, min(retry_after or 0.0, self.max_retry_after))


A_DAY = Schedule(delays=(5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800, 28_800))
"""Eleven tries in 23.7 hours, as Standard Webhooks advises."""

A_MOMENT = Schedule(delays=(5,), lasting=False)
"""For progress, which is no news later: there is a next one, or the end."""


def schedule_of(event: AnyWebhookEvent) -> Schedule:
    """The schedule of an event's deliveries."""
    return A_MOMENT if event == "task.progress" else A_DAY


MAX_TRIES = 20
"""How many tries of a delivery the log shows; a day has eleven, and operators may ask for more."""


class DeliveryState(StrEnum):
    """Where a delivery is."""

    PENDING = auto()  # it will be tried again
    DELIVERED = auto()
    FAILED = auto()  # it will not


class Try(Model):
    """One try: when, for how long (seconds), what came of it, and when the next one is."""

    at: Timestamp
    duration: float
    status: int | None = None
    error: Fault | None = None
    next_at: Timestamp | None = None


class Delivery(Model):
    """One event's way to one webhook, as the log keeps it.

    `made` counts the tries; `tries` holds the latest of them.
    """

    owner: str
    task: str
    webhook_id: UUID
    type: AnyWebhookEvent
    url: str
    created_at: Timestamp
    state: DeliveryState = DeliveryState.PENDING
    made: int = 0
    tries: tuple[Try, ...] = ()

    @classmethod
    def of(cls, notice: Notice) -> Self:
        """The delivery before the try that the notice calls for."""
        return cls(**cls.shared_with(notice))

    @property
    def key(self) -> TaskKey:
        """What names the task."""
        return TaskKey(self.owner, self.task)

    def after(self, reply: Reply, at: datetime, duration: float, wait: float | None) -> Self:
        """The delivery after one more try; `wait` is how long until the next, in seconds, None for never."""
        state = DeliveryState.PENDING if wait is not None else DeliveryState.FAILED
        ended = at + timedelta(seconds=round(duration, 3))
        one = Try(
            at=at,
            duration=round(duration, 3),
            status=reply.status,
            error=reply.fault,
            next_at=None if wait is None else ended + timedelta(seconds=round(wait, 3)),
        )
        return self.model_copy(
            update={
                "state": DeliveryState.DELIVERED if reply.delivered else state,
                "made": self.made + 1,
                "tries": (*self.tries, one)[-MAX_TRIES:],
            }
        )


class DeliveryList(Model):
    """What became of a task's webhooks, the newest first."""

    items: tuple[Delivery, ...]


def newest_first(deliveries: Iterable[Delivery]) -> list[Delivery]:
    """Deliveries in the order in which their owner sees them."""
    return sorted(deliveries, key=lambda delivery: delivery.created_at, reverse=True)


class WebhookFailed(Model):
    """The `detail` of the event `WebhookFailed`: a delivery was given up.

    `event_id` is the same whenever the same end is told again. `status` or `error` is that of the last try.
    """

    version: Literal["1"] = "1"
    event_id: UUID
    id: str
    owner: str
    webhook_id: UUID
    webhook_type: AnyWebhookEvent
    url: str
    tries: int
    status: int | None = None
    error: Fault | None = None
    created_at: Timestamp
    failed_at: Timestamp

    @property
    def detail_type(self) -> str:
        """Which event this is."""
        return "WebhookFailed"

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """The event that says that a delivery has failed."""
        last = delivery.tries[-1]
        return cls(
            event_id=uuid5(delivery.webhook_id, f"failed {delivery.made}"),
            id=delivery.task,
            owner=delivery.owner,
            webhook_id=delivery.webhook_id,
            webhook_type=delivery.type,
            url=delivery.url,
            tries=delivery.made,
            status=last.status,
            error=last.error,
            created_at=delivery.created_at,
            failed_at=last.at,
        )
