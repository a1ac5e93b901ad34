"""What a client does, without doing it: flows of effects.

A flow is a generator. It yields effects (send this, pause so long, hand out this item), gets their outcomes back,
and returns its result. It opens no socket and knows no clock but the one it asks for, so the same flow serves
`Client`, `AsyncClient` and a test that answers by hand. Who performs effects throws `ClientError`s into the flow.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar, cast

from darkroom_cli.errors import ClientError

T = TypeVar("T")

OK = range(200, 300)


@dataclass(frozen=True)
class Answer:
    """What came back: a status, headers by names in lower case, and the body, or the file that took it."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)
    saved: Path | None = None

    @property
    def ok(self) -> bool:
        """True for a 2xx."""
        return self.status in OK


@dataclass(frozen=True)
class Send:
    """Ask the API; the outcome is an `Answer`.

    `path` is below the API's address; `wait` is for how many seconds the answer may be held back.
    """

    method: str
    path: str
    query: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)
    wait: float = 0


@dataclass(frozen=True)
class Part:
    """A stretch of a file, in bytes."""

    path: Path
    start: int
    length: int


@dataclass(frozen=True)
class Transfer:
    """Send a part of a file to a presigned link, or fetch one into a file; the outcome is an `Answer`.

    No API key goes along: the link is its own permission. `moved` hears of every chunk's bytes. Where the answer is
    not a 2xx its body comes back and no file is written.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    source: Part | None = None
    target: Path | None = None
    moved: Callable[[int], None] | None = None


@dataclass(frozen=True)
class Pause:
    """Do nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Now:
    """Ask for the time, in seconds of a clock that never goes back."""


@dataclass(frozen=True)
class Emit:
    """Hand an item to whoever iterates."""

    item: Any


@dataclass(frozen=True)
class Together:
    """Run flows side by side, so many at once; the outcome is their results in order.

    The first that fails ends the others.
    """

    flows: Sequence["Flow[Any]"]
    at_once: int


Effect: TypeAlias = Send | Transfer | Pause | Now | Emit | Together
Flow: TypeAlias = Generator[Effect, Any, T]


class Run(Generic[T]):
    """A flow under way. Its performer looks at `effect`, and says what came of it, until there is none."""

    def __init__(self, flow: Flow[T]) -> None:
        self._flow = flow
        self._result: T | None = None
        self.effect: Effect | None = None
        self.succeed(None)

    @property
    def result(self) -> T:
        """What the flow returned, once there is no effect left."""
        return cast("T", self._result)

    def succeed(self, outcome: object) -> None:
        """Give the flow what its effect came to."""
        self._step(lambda: self._flow.send(outcome))

    def fail(self, error: ClientError) -> None:
        """Tell the flow that its effect went wrong; raises what the flow makes of it."""
        self._step(lambda: self._flow.throw(error))

    def close(self) -> None:
        """Leave the flow where it is."""
        self._flow.close()

    def _step(self, step: Callable[[], Effect]) -> None:
        try:
            self.effect = step()
        except StopIteration as end:
            self.effect, self._result = None, end.value
