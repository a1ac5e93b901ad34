"""What an adapter of a runtime must do, and how one is found.

An adapter is a class with the methods of `Runtime` and a constructor that takes a `RuntimeConfig`. It is found by
its name among the entry points of the group `darkroom.runtimes`, so others can be added from outside:

    [project.entry-points."darkroom.runtimes"]
    mine = "my_package.my_module:MyRuntime"

What ends a task is decided by type: `TaskFailedError` (the runtime says no: the task fails),
`TaskInterruptedError` (it may go right elsewhere or later: the task is put back), `RuntimeLostError` (likewise,
and the agent takes nothing more until `ready` says so).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, runtime_checkable

from darkroom.models import JsonObject
from darkroom.tasks import TaskType
from darkroom_agent.links import TEXT_FIELDS, Place


class UnknownRuntimeTypeError(Exception):
    """There is no adapter of that name."""


@dataclass(frozen=True)
class RuntimeConfig:
    """What an adapter is told.

    Attributes:
        url: where the runtime answers.
        model: the model that the runtime is to serve, where it is bound to one.
        dynamic_model: whether a task may ask for another one.
        load_timeout: seconds that loading a model may take.
    """

    url: str
    model: str | None = None
    dynamic_model: bool = False
    load_timeout: float = 1800


@dataclass(frozen=True)
class InputRules:
    """What a runtime takes for the links in a content; an adapter with other rules has them as `inputs`.

    Attributes:
        kinds: the kinds of file that links may lead to: what stands before the slash of a media type.
        encoded: whether base64 takes the links' places; otherwise the links stay, and `Job.files` has the files.
        words: names of fields whose texts are never links.
    """

    kinds: frozenset[str] = frozenset({"image"})
    encoded: bool = True
    words: frozenset[str] = TEXT_FIELDS


IMAGES_ENCODED = InputRules()
"""Images as base64: what SD WebUI takes, and what holds for an adapter without rules."""


async def _nobody_waits() -> None:
    """There is no next job."""


@dataclass(frozen=True)
class Job:
    """What the runtime is to do.

    Attributes:
        type: the task's.
        content: the task's, with base64 where links stood, unless the adapter's `inputs` say otherwise.
        model: the one that the task asks for.
        id: the task's.
        files: where the adapter asks for them, what links lead to, by the places of the links in the content.
        hand_over: an adapter may await this in `run` once the runtime has done its part and only the answer is to
            be read. The next job is sent meanwhile, so what follows leaves the runtime's state alone; an interrupt
            that comes later is meant for that job.
    """

    type: TaskType
    content: JsonObject
    model: str | None = None
    id: str = ""
    files: Mapping[Place, bytes | bytearray] = field(default_factory=dict)
    hand_over: Callable[[], Awaitable[None]] = _nobody_waits


@dataclass(frozen=True)
class Outputs:
    """What the runtime made: files of any kind in its order, and its whole answer as JSON without them.

    `warnings` are what its owner should know about a task that succeeded all the same, in words.
    """

    images: tuple[bytes, ...]
    answer: Any
    warnings: tuple[str, ...] = ()


class Runtime(Protocol):
    """One runtime. The agent asks it for one job at a time; the next may begin when the last is handed over."""

    async def ready(self) -> str | None:
        """None when the runtime can work; else what it waits for, in words.

        Raises:
            RuntimeLostError: it does not answer. By this the agent knows that a hung one was started anew.
            RuntimeBusyError: it works at a job of before, which it was told to stop. For too long, and it hangs.
        """

    async def run(self, job: Job) -> Outputs:
        """Do a job. It may take as long as it takes: the agent watches over the time.

        Raises:
            TaskFailedError: the runtime refuses the job, and will again.
            TaskInterruptedError: the job was interrupted, or may go right later.
            RuntimeLostError: the runtime has gone.
            RuntimeHungError: it answers, but works no more; only a restart helps.
        """

    async def progress(self) -> float | None:
        """How far the job is (0 to 1), or None where the runtime does not say.

        Where it stands still for too long, the runtime counts as hung.
        """

    async def interrupt(self) -> None:
        """Ask the runtime to stop the job; `run` then ends soon. Asked twice, or when idle, it is harmless."""

    async def close(self) -> None:
        """Let go of connections."""


@runtime_checkable
class Previewing(Protocol):
    """What an adapter may have beside the methods of `Runtime`, where its runtime shows what a job has so far."""

    async def preview(self) -> bytes | None:
        """An image of what the job has so far; None where there is nothing yet. It may fail as `run` may."""


def input_rules(runtime: Runtime) -> InputRules:
    """What the runtime takes for links."""
    rules: InputRules = getattr(runtime, "inputs", IMAGES_ENCODED)
    return rules


def adapters() -> Mapping[str, EntryPoint]:
    """The adapters that are installed, by the types of runtime that they are for."""
    return {point.name: point for point in entry_points(group="darkroom.runtimes")}


def load(runtime_type: str, config: RuntimeConfig) -> Runtime:
    """Make the adapter of that name.

    Raises:
        UnknownRuntimeTypeError: there is none.
    """
    found = adapters()
    if runtime_type not in found:
        known = ", ".join(sorted(found)) or "none"
        raise UnknownRuntimeTypeError(f"no adapter for runtimes of type {runtime_type!r}; there is: {known}")
    adapter: Runtime = found[runtime_type].load()(config)
    return adapter
