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


def test_progress_counts_for_more_the_further_it_is(clock: Clock, make_task: MakeTask) -> None:
    pace = Pace()
    run(pace, clock, make_task(), 10)
    pace.start(make_task())
    clock.now += 8
    pace.advance(0.5)  # it would be 16 s, the last one took 10
    assert pytest.approx(13 - 8) == pace.remaining()
    clock.now += 6.4
    pace.advance(0.9)
    assert pytest.approx(0.9 * 16 + 0.1 * 10 - 14.4) == pace.remaining()


def test_time_goes_on_between_two_looks_at_the_progress(clock: Clock, make_task: MakeTask) -> None:
    pace = Pace()
    pace.start(make_task())
    clock.now += 2
    pace.advance(0.2)
    clock.now += 5
    assert pytest.approx(3) == pace.remaining()
    pace.advance(0.2)  # nothing new
    assert pytest.approx(3) == pace.remaining()


@pytest.mark.parametrize("seconds", [3, 4.9, 7, 11.3, 30])
@pytest.mark.parametrize(
    "last", [None, 1.0, 1.05], ids=["the first of its kind", "as the last one", "a little less"]
)
def test_the_next_task_is_due_shortly_before_the_end(
    clock: Clock, make_task: MakeTask, seconds: float, last: float | None
) -> None:
    pace, lead = Pace(), 0.3
    if last is not None:
        run(pace, clock, make_task(), last * seconds)
    pace.start(make_task())
    started = clock.now
    for tenth in range(1, int(10 * seconds) + 1):
        clock.now = started + tenth / 10
        if tenth % 20 == 0:
            pace.advance(tenth / 10 / seconds)
        remaining = pace.remaining()
        if remaining is not None and remaining <= lead:
            break
    assert remaining is not None
    assert remaining <= lead, "it was never due"
    assert lead / 3 < seconds - (clock.now - started) < 2 * lead


def test_one_run_that_loaded_a_model_is_soon_forgotten(clock: Clock, make_task: MakeTask) -> None:
    pace = Pace()
    for seconds in (60, 5):
        run(pace, clock, make_task(), seconds)
    pace.start(make_task())
    assert pytest.approx(5) == pace.remaining()


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


def test_what_is_typical_follows_and_what_was_not_used_is_forgotten() -> None:
    durations = Durations()
    for seconds in (10, 10, 10, 2, 2, 30, 2):
        durations.note("a", seconds)
    assert 2 == durations.typical("a")
    for number in range(300):
        durations.note(number, 1)
    assert durations.typical("a") is None


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


async def test_a_run_far_beyond_what_was_expected_has_nothing_fetched(make_task: MakeTask) -> None:
    pace = Pace(overrun=1)
    pace._durations.note(kind(make_task()), 0.1)
    pace.start(make_task())
    pace._started = time.monotonic() - 1
    assert await due_after(pace, 0.05) is not None
    pace._started = time.monotonic() - 1.2
    assert await due_after(pace, 0.3) is None


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
