"""When to fetch the next task while one runs: in time for the runtime, and no sooner.

A task that is fetched early lies in a busy pod while an idle one could run it. So the next is fetched once the
running one is expected to end within the time that fetching takes, plus a margin. Where the running one then takes
`OVERRUN` seconds longer than was expected, the fetched one is given back, and the next fetch waits for the end.

When it will end is told by what such tasks took, and ever more by its progress: in the beginning that says little
(ComfyUI's quick nodes come first), in the end it knows best.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from statistics import median_low

from darkroom.tasks import Task
from darkroom_agent.flags import Flag, first_of

MARGIN = 0.15
"""Seconds by which a fetch may be early: it covers what varies in AWS's answers."""

OVERRUN = 5.0
"""Seconds beyond its estimated end after which the running task is no longer waited for with another in hand."""

RECHECK = 1.0
"""Seconds until an estimate is looked at again."""

_LAST = 5
_SLOWEST_PROGRESS = 0.05
_KINDS = 256
_SIZE_FIELDS = frozenset(
    {"width", "height", "steps", "batch_size", "n_iter", "upscaling_resize", "upscaler_1", "class_type"}
)


def kind(task: Task) -> Hashable:
    """What tasks must have in common to take about as long: type, model, sizes, and the nodes of a workflow."""
    return (task.type, task.model, hash(tuple(sorted(_sizes(task.content)))))


def _sizes(content: object) -> Iterator[tuple[str, str]]:
    """The fields that tell how much there is to do, wherever they stand: a graph has them in its nodes."""
    if isinstance(content, list):
        for item in content:
            yield from _sizes(item)
    elif isinstance(content, dict):
        for name, value in content.items():
            if name in _SIZE_FIELDS:
                yield name, str(value)
            else:
                yield from _sizes(value)


class Durations:
    """What each kind of task took of late, in seconds; the kinds used last are kept."""

    def __init__(self) -> None:
        self._last: OrderedDict[Hashable, deque[float]] = OrderedDict()

    def note(self, what: Hashable, seconds: float) -> None:
        """Take one more measurement in."""
        self._last.setdefault(what, deque(maxlen=_LAST)).append(seconds)
        self._last.move_to_end(what)
        if len(self._last) > _KINDS:
            self._last.popitem(last=False)

    def typical(self, what: Hashable) -> float | None:
        """The median of the last ones, or None where nothing was measured.

        A mean would hold for long that the first one loaded a model.
        """
        last = self._last.get(what)
        return None if last is None else median_low(last)


class Pace:
    """Knows what runs and says when the next task is due.

    Attributes:
        wanted: set while the runtime has nothing to do.
        in_hand: True while a fetched task waits for the runtime.
    """

    def __init__(self, overrun: float = OVERRUN) -> None:
        self.wanted = Flag()
        self.in_hand = False
        self._overrun = overrun
        self._overran = False
        self._changed = Flag()
        self._durations = Durations()
        self._fetching = Durations()
        self._kind: Hashable = None
        self._started: float | None = None
        self._progress = 0.0
        self._told = 0.0  # seconds from the start until the progress was told

    def start(self, task: Task) -> None:
        """The runtime begins a task. Called before the next fetch gets to look at `wanted`."""
        self.wanted.clear()
        self._kind = kind(task)
        self._started = time.monotonic()
        self._progress = 0.0
        self._overran = False
        self._changed.set()

    def advance(self, progress: float) -> None:
        """The running task is that far (0 to 1)."""
        if self._started is not None and progress != self._progress:
            self._progress, self._told = progress, time.monotonic() - self._started
        self._changed.set()

    def stop(self, *, whole: bool) -> None:
        """The runtime is done with the task; `whole` where it was not cut short."""
        if self._started is not None and whole:
            self._durations.note(self._kind, time.monotonic() - self._started)
        self._started = None
        self._changed.set()

    def fetched(self, seconds: float) -> None:
        """A task was received, claimed and its inputs fetched in that time."""
        self._fetching.note("fetch", seconds)

    def remaining(self) -> float | None:
        """Seconds until the running task ends, as far as can be told; None where nothing can.

        Less than 0 where it takes longer than expected.
        """
        if self._started is None:
            return None
        expected = self._durations.typical(self._kind)
        if self._progress >= _SLOWEST_PROGRESS:
            told = self._told / self._progress
            expected = told if expected is None else told * self._progress + expected * (1 - self._progress)
        return None if expected is None else expected - (time.monotonic() - self._started)

    async def due(self, *until: Flag) -> None:
        """Wait until the next task should be fetched, or one of the events is set."""
        while not self.wanted.is_set() and not any(event.is_set() for event in until):
            remaining = None if self._overran else self.remaining()
            if remaining is not None and remaining < -self._overrun:
                remaining = None  # nobody knows: who asks SQS all the time takes tasks from idle agents
            early = None if remaining is None else remaining - self._lead()
            if early is not None and early <= 0:
                return
            self._changed.clear()
            timeout = RECHECK if early is None else min(early, RECHECK)
            await first_of(self.wanted, self._changed, *until, timeout=timeout)

    async def free(self, *until: Flag) -> bool:
        """Wait with a task in hand until the runtime is free, or one of the events is set.

        False where the running task overran its estimate: nothing more is due while it runs.
        """
        patience = max(self.remaining() or 0, 0) + self._overrun
        self.in_hand = True
        try:
            await first_of(self.wanted, *until, timeout=patience)
        finally:
            self.in_hand = False
        if self.wanted.is_set() or any(event.is_set() for event in until):
            return True
        self._overran = True
        return False

    def _lead(self) -> float:
        return (self._fetching.typical("fetch") or 0) + MARGIN
