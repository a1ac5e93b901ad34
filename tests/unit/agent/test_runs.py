"""One run: limits of time, hung runtimes, interrupts."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from darkroom.errors import ExecutionError, TaskFailedError, TaskInterruptedError
from darkroom.tasks import Task, TaskType
from darkroom_agent import readiness
from darkroom_agent import runs as module
from darkroom_agent.aborts import Abort
from darkroom_agent.faults import GivenUpError, RuntimeHungError, RuntimeLostError
from darkroom_agent.leases import Lease
from darkroom_agent.queues import Delivery
from darkroom_agent.runtimes import Job

MakeBench = Callable[..., Any]
MakeTask = Callable[..., Task]
Until = Callable[..., Awaitable[Any]]
JOB = Job(TaskType.TEXT_TO_IMAGE, {})


@pytest.fixture(autouse=True)
def _short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PROGRESS_EVERY", 0.02)
    monkeypatch.setattr(module, "_INTERRUPT_AGAIN", 0.02)
    monkeypatch.setattr(module, "INTERRUPT_SECONDS", 0.2)
    monkeypatch.setattr(module, "LAST_INTERRUPT_SECONDS", 0.1)


def lease_of(bench: Any, make_task: MakeTask) -> Lease:
    return Lease(bench.custody, Delivery("m", "", "r", 1), make_task())


async def test_a_run_that_takes_too_long_is_interrupted_and_fails(
    make_bench: MakeBench, make_task: MakeTask
) -> None:
    bench = make_bench(whole_run=0.1)
    with pytest.raises(TaskFailedError, match=r"longer than 0\.1 s") as caught:
        await bench.runs.run(lease_of(bench, make_task), JOB)
    assert ("timeout", 1) == (caught.value.type, bench.runtime.interrupts)


async def test_a_run_without_progress_is_interrupted_and_its_runtime_hangs(
    make_bench: MakeBench, make_task: MakeTask
) -> None:
    bench = make_bench(stall=0.1)
    bench.runtime.at = 0.4
    lease = lease_of(bench, make_task)
    with pytest.raises(RuntimeHungError, match="no progress"):
        await bench.runs.run(lease, JOB)
    assert (1, 0.4) == (bench.runtime.interrupts, lease.progress)
    assert bench.health.hung


async def test_a_runtime_that_does_not_say_how_far_it_is_does_not_stall(
    make_bench: MakeBench, make_task: MakeTask
) -> None:
    bench = make_bench(stall=0.1)
    run = asyncio.create_task(bench.runs.run(lease_of(bench, make_task), JOB))
    await asyncio.sleep(0.3)
    bench.runtime.go.set()
    assert 1 == len((await (await run)).images)


async def test_a_runtime_that_answers_nothing_stalls(
    make_bench: MakeBench, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench(stall=0.1)

    async def lost() -> float:
        raise RuntimeLostError("runtime_lost", "no answer")

    monkeypatch.setattr(bench.runtime, "progress", lost)
    with pytest.raises(RuntimeHungError, match="no progress"):
        await bench.runs.run(lease_of(bench, make_task), JOB)


@pytest.mark.parametrize("error", [TaskFailedError("runtime_error", "500"), TaskInterruptedError("bad_answer", "")])
async def test_an_answer_without_progress_is_no_end_of_the_run(
    bench: Any, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch, until: Until, error: ExecutionError
) -> None:
    asked = 0

    async def broken() -> float:
        nonlocal asked
        asked += 1
        raise error

    monkeypatch.setattr(bench.runtime, "progress", broken)
    run = asyncio.create_task(bench.runs.run(lease_of(bench, make_task), JOB))
    await until(lambda: asked > 1)
    bench.runtime.go.set()
    assert 1 == len((await (await run)).images)


async def test_a_run_beyond_its_limit_fails_though_the_runtime_heeds_no_interrupt(
    make_bench: MakeBench, make_task: MakeTask
) -> None:
    bench = make_bench(whole_run=0.05)
    bench.runtime.heeds_interrupts = False
    with pytest.raises(TaskFailedError, match="longer than"):
        await bench.runs.run(lease_of(bench, make_task), JOB)
    assert bench.runtime.interrupts > 1  # one that came too early would have been forgotten
    assert (True, True) == (bench.health.hung, bench.readiness.lost.is_set())
    await bench.readiness.wait()  # it came to its end after all
    assert not bench.health.hung


async def test_an_interrupt_under_way_is_waited_for_lest_it_meets_the_next_job(
    make_bench: MakeBench, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, answers = make_bench(whole_run=0.05), asyncio.Event()
    ended = []

    async def interrupt() -> None:
        bench.runtime._stop.set()  # the run ends at once, the answer comes late
        await answers.wait()
        ended.append(True)

    monkeypatch.setattr(bench.runtime, "interrupt", interrupt)
    monkeypatch.setattr(module, "LAST_INTERRUPT_SECONDS", 5)
    asyncio.get_running_loop().call_later(0.2, answers.set)
    with pytest.raises(TaskFailedError):
        await bench.runs.run(lease_of(bench, make_task), JOB)
    assert [True] == ended


async def starts_anew(bench: Any, until: Until) -> None:
    """The runtime is waited for until it has been away."""
    await until(lambda: "its restart" in str(bench.health.waiting_for))
    bench.runtime.away = True
    await until(lambda: "gone" in str(bench.health.waiting_for))
    bench.runtime.away = False


async def test_a_runtime_that_stays_busy_with_what_it_was_told_to_stop_hangs(
    make_bench: MakeBench, until: Until
) -> None:
    bench = make_bench(stall=0.1)
    bench.runtime.busy = True
    wait = asyncio.create_task(bench.readiness.wait())
    await until(lambda: bench.health.waiting_for == "the end of an earlier job")
    assert not bench.health.hung
    await until(lambda: bench.health.hung)
    bench.runtime.busy = False
    await starts_anew(bench, until)
    await wait
    assert not bench.health.hung


async def test_a_runtime_that_is_slow_to_answer_has_not_been_started_anew(
    bench: Any, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "_ASK_TIMEOUT", 0.05)
    bench.readiness.lose(RuntimeHungError("runtime_hung", "no progress"))
    bench.runtime.silent = True
    wait = asyncio.create_task(bench.readiness.wait())
    await until(lambda: "none within" in str(bench.health.waiting_for))
    bench.runtime.silent = False
    await starts_anew(bench, until)
    await wait


async def test_a_lost_task_ends_its_run(bench: Any, make_task: MakeTask, until: Until) -> None:
    lease = lease_of(bench, make_task)
    run = asyncio.create_task(bench.runs.run(lease, JOB))
    await until(lambda: bench.runtime.running)
    lease.abort(Abort.CANCELLED)
    with pytest.raises(GivenUpError, match="cancelled"):
        await run
    assert 1 == bench.runtime.interrupts


async def test_the_end_of_the_agent_waits_for_no_orderly_stop(
    bench: Any, make_task: MakeTask, until: Until
) -> None:
    bench.runtime.heeds_interrupts = False
    run = asyncio.create_task(bench.runs.run(lease_of(bench, make_task), JOB))
    await until(lambda: bench.runtime.running)
    bench.drain.halt()
    with pytest.raises(TaskInterruptedError, match="had to end"):
        await run


async def test_a_run_that_was_cut_short_teaches_nothing_about_durations(
    make_bench: MakeBench, make_task: MakeTask
) -> None:
    bench = make_bench(whole_run=0.05)
    with pytest.raises(TaskFailedError):
        await bench.runs.run(lease_of(bench, make_task), JOB)
    bench.pace.start(make_task())
    assert bench.pace.remaining() is None
