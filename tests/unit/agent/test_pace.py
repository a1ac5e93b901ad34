"""When the next task is fetched."""

import asyncio
import time
from collections.abc import Callable

import pytest

from darkroom.tasks import Task
from darkroom_agent import pace as module
from darkroom_agent.flags import Flag
from darkroom_agent.pace import Durations, Pace, kind

MakeTask = Callable[..., Task]


class Clock:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def run(pace: Pace, clock: Clock, task: Task, seconds: float) -> None:
    pace.start(task)
    clock.now += seconds
    pace.stop(whole=True)


def test_nothing_is_known_of_the_first_task_of_its_kind(clock: Clock, make_task: MakeTask) -> None:
    pace = Pace()
    assert pace.remaining() is None
    pace.start(make_task())
    clock.now += 5
    assert pace.remaining() is None


def test_tasks_of_one_kind_are_expected_to_take_as_long(clock: Clock, make_task: MakeTask) -> None:
    pace = Pace()
    run(pace, clock, make_task(id="a"), 10)
    pace.start(make_task(id="b"))
    clock.now += 4
    assert pytest.approx(6) == pace.remaining()
    pace.stop(whole=True)
    pace.start(make_task(id="c", content={"steps": 150}))
    assert pace.remaining() is None


def test_progress_knows_better_than_the_mean(clock: Clock, make_task: MakeTask) -> None:
    pace = Pace()
    run(pace, clock, make_task(), 10)
    pace.start(make_task())
    clock.now += 8
    pace.advance(0.5)
    assert pytest.approx(8) == pace.remaining()


def test_the_first_traces_of_progress_tell_nothing(clock: Clock, make_task: MakeTask) -> None:
    pace = Pace()
    pace.start(make_task())
    clock.now += 1
    pace.advance(0.01)  # SD WebUI says so while it loads a model
    assert pace.remaining() is None


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"id": "other"}, True),
        ({"content": {"prompt": "other", "steps": 20}}, True),
        ({"content": {"prompt": "x", "steps": 50}}, False),
        ({"content": {"prompt": "x", "steps": 20, "width": 1024}}, False),
        ({"model": "other"}, False),
        ({"type": "image-to-image"}, False),
    ],
)
def test_a_kind_is_what_takes_about_as_long(make_task: MakeTask, changes: dict[str, object], same: object) -> None:
    task = make_task(content={"prompt": "x", "steps": 20})
    assert same is (kind(task) == kind(task.model_validate(task.model_dump() | changes)))


def graph(**changes: object) -> dict[str, object]:
    latent = {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 512, "batch_size": 1}}
    sampler = {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 20, "latent_image": ["5", 0]} | changes}
    return {"5": latent, "3": sampler}


@pytest.mark.parametrize(
    ("content", "same"),
    [
        ({"prompt": graph(seed=2)}, True),
        ({"prompt": dict(reversed(graph().items()))}, True),
        ({"prompt": graph(steps=50)}, False),
        ({"prompt": graph() | {"7": {"class_type": "ImageUpscaleWithModel", "inputs": {}}}}, False),
        ({"prompt": {"5": graph()["5"]}}, False),
    ],
)
def test_workflows_of_one_kind_have_the_same_nodes_and_sizes(
    make_task: MakeTask, content: dict[str, object], same: object
) -> None:
    task = make_task(type="pipeline", content={"prompt": graph()})
    assert same is (kind(task) == kind(task.model_copy(update={"content": content})))


def test_a_running_mean_follows_and_forgets_what_was_not_used() -> None:
    durations = Durations()
    durations.note("a", 10)
    for _ in range(20):
        durations.note("a", 2)
    assert pytest.approx(2, rel=0.01) == durations.mean("a")
    for number in range(300):
        durations.note(number, 1)
    assert durations.mean("a") is None


async def due_after(pace: Pace, patience: float) -> float | None:
    """After how many seconds the next task is due; None where it is not within the patience."""
    started = time.monotonic()
    try:
        async with asyncio.timeout(patience):
            await pace.due()
    except TimeoutError:
        return None
    return time.monotonic() - started


async def test_a_free_runtime_wants_the_next_task_at_once() -> None:
    pace = Pace()
    pace.wanted.set()
    assert await due_after(pace, 0.1) is not None


async def test_a_busy_runtime_of_which_nothing_is_known_wants_none(make_task: MakeTask) -> None:
    pace = Pace()
    pace.start(make_task())
    assert await due_after(pace, 0.2) is None


async def test_the_next_task_is_due_when_fetching_takes_as_long_as_the_rest_of_the_run(make_task: MakeTask) -> None:
    pace = Pace()
    pace._durations.note(kind(make_task()), 0.8)
    pace.fetched(0.25)
    pace.start(make_task())
    assert pytest.approx(0.8 - 0.25 - module.MARGIN, abs=0.1) == await due_after(pace, 2)


async def test_the_end_of_the_run_and_a_drain_end_the_wait(make_task: MakeTask) -> None:
    pace, drain = Pace(), Flag()
    pace.start(make_task())
    for event in (pace.wanted, drain):
        waiting = asyncio.create_task(pace.due(drain))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        event.set()
        async with asyncio.timeout(1):
            await waiting
        event.clear()
