"""Runtimes, as the API shows them."""

from darkroom_cli.tasks import Shown


class Health(Shown):
    """How a runtime fares; counts are SQS's, and approximate.

    `estimated_start_seconds` is when a task that is submitted now may begin, judging by the caller's last ones.
    """

    backlog: int = 0
    in_flight: int = 0
    dead_letters: int = 0
    oldest_age_seconds: float | None = None
    estimated_start_seconds: float | None = None


class Runtime(Shown):
    """A deployed runtime: what it does, and how it fares."""

    name: str
    type: str
    model: str | None = None
    dynamic_model: bool = False
    task_types: tuple[str, ...] = ()
    upscalers: tuple[str, ...] = ()
    samplers: tuple[str, ...] = ()
    health: Health = Health()


class Redrive(Shown):
    """How many dead letters were put back; there may be more."""

    moved: int = 0
