"""The worker's way with tasks: what runs when, and what happens when something goes wrong in any phase."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from darkroom import tasks
from darkroom.errors import TaskFailedError, TaskInterruptedError
from darkroom.models import now
from darkroom.outputs import OutputOptions
from darkroom.tasks import Task, TaskStatus, TaskType
from darkroom_agent.faults import RuntimeHungError, RuntimeLostError, RuntimeStuckError
from darkroom_agent.runtimes import Outputs

MakeBench = Callable[..., Any]
MakeTask = Callable[..., Task]
Until = Callable[..., Awaitable[Any]]

OUTAGE = EndpointConnectionError(endpoint_url="https://aws")
DENIED = ClientError(
    {"Error": {"Code": "AccessDenied", "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": 403}},  # type: ignore[typeddict-item]
    "PutObject",
)


async def test_a_task_is_run_uploaded_reported_and_its_message_deleted(
    bench: Any, make_task: MakeTask, until: Until
) -> None:
    task = bench.submit(make_task)
    bench.runtime.go.set()
    bench.start()
    await until(lambda: not bench.inbox.messages)
    (result,) = bench.results.sent
    assert ("succeeded", 1, task.created_at) == (result.outcome, result.attempt, result.submission)
    assert set(bench.blobs.files) == {*result.images, result.output_url}
    assert TaskStatus.SUCCEEDED is bench.state(task).status


async def test_the_next_task_is_not_taken_while_nothing_tells_when_the_running_one_ends(
    bench: Any, make_task: MakeTask, until: Until
) -> None:
    first, second = bench.submit(make_task, id="a"), bench.submit(make_task, id="b")
    bench.start()
    await until(lambda: bench.runtime.running)
    await asyncio.sleep(0.2)
    assert TaskStatus.QUEUED is bench.state(second).status  # an idle agent could take it
    bench.runtime.go.set()
    await until(lambda: len(bench.results.sent) == 2)
    assert [first.id, second.id] == [result.id for result in bench.results.sent]


async def test_the_next_task_is_ready_in_hand_when_the_running_one_is_about_to_end(
    bench: Any, make_task: MakeTask, until: Until
) -> None:
    link = {"image": "https://example.com/x.png"}
    bench.submit(make_task, id="a")
    bench.submit(make_task, id="b", content=link)
    bench.start()
    await until(lambda: bench.runtime.running)
    bench.pace.advance(0.999)
    await until(lambda: bench.downloads.fetched)
    assert 1 == len(bench.runtime.jobs)
    bench.runtime.go.set()
    await until(lambda: len(bench.results.sent) == 2)


async def test_a_task_in_hand_is_given_back_once_when_the_running_one_overruns_its_estimate(
    make_bench: MakeBench, make_task: MakeTask, until: Until
) -> None:
    bench = make_bench(overrun=0.1)
    bench.submit(make_task, id="a")
    second = bench.submit(make_task, id="b")
    bench.start()
    await until(lambda: bench.runtime.running)
    bench.pace.advance(0.999)
    await until(lambda: bench.state(second).attempt == 1)
    await until(lambda: bench.state(second).status is TaskStatus.QUEUED)
    await until(lambda: bench.inbox.hidings)
    assert ("m1", 0) == bench.inbox.hidings[-1]  # an idle agent sees it at once
    await asyncio.sleep(0.2)
    assert 1 == bench.state(second).attempt  # and this one leaves it alone
    bench.runtime.go.set()
    await until(lambda: len(bench.results.sent) == 2)


async def test_a_task_that_was_received_often_is_not_given_back_for_others(
    make_bench: MakeBench, make_task: MakeTask, until: Until
) -> None:
    bench = make_bench(overrun=0.05)
    bench.submit(make_task, id="a")
    bench.start()
    await until(lambda: bench.runtime.running)
    second = bench.submit(make_task, id="b")
    bench.inbox.messages["m1"].receives = 2
    bench.pace.advance(0.999)
    await until(lambda: bench.state(second).attempt == 1)
    await asyncio.sleep(0.2)
    assert TaskStatus.RUNNING is bench.state(second).status
    bench.runtime.go.set()
    await until(lambda: len(bench.results.sent) == 2)


async def test_outputs_are_delivered_in_the_form_that_the_task_asks_for(
    bench: Any, make_task: MakeTask, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    gif = b"GIF89a" + bytes(300)

    async def run(_: Any) -> Outputs:
        return Outputs((gif,), {"info": "done"})

    monkeypatch.setattr(bench.runtime, "run", run)
    bench.submit(make_task, output=OutputOptions(format="webp"))
    bench.start()
    result = (await until(lambda: bench.results.sent))[0]
    warnings = json.loads(bench.blobs.files[result.output_url])["darkroom_warnings"]
    assert ["output 1 was not converted to webp: it cannot be read (image/gif)"] == warnings
    assert gif == bench.blobs.files[result.images[0]]


async def test_outputs_are_delivered_while_the_next_task_runs(
    bench: Any, make_task: MakeTask, until: Until
) -> None:
    bench.results.faults = [OUTAGE] * 1000
    bench.submit(make_task, id="a")
    bench.submit(make_task, id="b")
    bench.runtime.go.set()
    bench.start()
    await until(lambda: len(bench.runtime.jobs) == 2)
    assert [] == bench.results.sent
    bench.results.faults.clear()
    await until(lambda: len(bench.results.sent) == 2)


async def test_the_runtime_waits_when_too_much_is_in_delivery(
    bench: Any, make_task: MakeTask, until: Until
) -> None:
    bench.results.faults = [OUTAGE] * 10_000
    for number in range(5):
        bench.submit(make_task, id=f"t{number}")
    bench.runtime.go.set()
    bench.start()
    await until(lambda: len(bench.runtime.jobs) == 3)
    await asyncio.sleep(0.2)
    assert 3 == len(bench.runtime.jobs)
    bench.results.faults.clear()
    await until(lambda: len(bench.results.sent) == 5)


async def test_without_prefetch_everything_is_done_in_order(
    make_bench: MakeBench, make_task: MakeTask, until: Until
) -> None:
    bench = make_bench(prefetch=False)
    bench.results.faults = [OUTAGE] * 1000
    second = [bench.submit(make_task, id=name) for name in ("a", "b")][1]
    bench.start()
    await until(lambda: bench.runtime.running)
    bench.pace.advance(0.999)
    await asyncio.sleep(0.1)
    assert TaskStatus.QUEUED is bench.state(second).status  # not while the first runs
    bench.runtime.go.set()
    await until(lambda: bench.blobs.files)
    await asyncio.sleep(0.1)
    assert TaskStatus.QUEUED is bench.state(second).status  # nor while it is delivered
    bench.results.faults.clear()
    await until(lambda: len(bench.results.sent) == 2)


async def test_links_become_base64_before_the_runtime_sees_them(
    bench: Any, make_task: MakeTask, until: Until
) -> None:
    content = {"prompt": "https://example.com/x.png", "init_images": ["https://example.com/x.png"]}
    bench.submit(make_task, type=TaskType.IMAGE_TO_IMAGE, content=content)
    bench.runtime.go.set()
    bench.start()
    await until(lambda: bench.results.sent)
    (job,) = bench.runtime.jobs
    assert "https://example.com/x.png" == job.content["prompt"]
    assert job.content["init_images"][0].startswith("iVBOR")


async def test_a_large_content_is_read_from_the_bucket(bench: Any, make_task: MakeTask, until: Until) -> None:
    bench.blobs.files["s3://bucket/.requests/x.json"] = b'{"prompt": "long"}'
    bench.submit(make_task, content=None, content_ref="s3://bucket/.requests/x.json")
    bench.runtime.go.set()
    bench.start()
    await until(lambda: bench.results.sent)
    assert {"prompt": "long"} == bench.runtime.jobs[0].content


@pytest.mark.parametrize("phase", ["inputs", "run"])
async def test_what_cannot_succeed_ends_as_failed(
    bench: Any, make_task: MakeTask, until: Until, phase: str
) -> None:
    task = bench.submit(make_task, content={"image": "https://example.com/x.png"})
    error = TaskFailedError("no_good", "it will not work")
    if phase == "inputs":
        bench.downloads.faults["https://example.com/x.png"] = error
    bench.runtime.faults = [error]
    bench.runtime.go.set()
    bench.start()
    await until(lambda: not bench.inbox.messages)
    state = bench.state(task)
    assert state.error is not None
    assert (TaskStatus.FAILED, "no_good", False) == (state.status, state.error.type, state.error.retryable)
    assert {} == bench.blobs.files


@pytest.mark.parametrize(
    "error", [TaskInterruptedError("out_of_memory", "no memory"), ZeroDivisionError("a fault of ours")]
)
@pytest.mark.parametrize("phase", ["inputs", "run"])
async def test_what_may_go_right_later_is_put_back_and_tried_again(
    bench: Any, make_task: MakeTask, until: Until, phase: str, error: Exception
) -> None:
    bench.submit(make_task, content={"image": "https://example.com/x.png"})
    if phase == "inputs":
        bench.downloads.faults["https://example.com/x.png"] = error
    else:
        bench.runtime.faults = [error]
    bench.runtime.go.set()
    bench.start()
    await until(bench.store.releases)
    bench.downloads.faults.clear()
    await until(lambda: bench.results.sent)
    result = bench.results.sent[0]
    assert "succeeded" == result.outcome
    assert result.attempt > 1
    released = bench.store.releases()[0]
    assert (getattr(error, "type", "internal_error"), True) == (released.type, released.retryable)


@pytest.mark.parametrize(
    ("error", "hung"), [(RuntimeLostError, False), (RuntimeStuckError, True), (RuntimeHungError, True)]
)
async def test_a_lost_runtime_is_waited_for_and_nothing_is_held_meanwhile(
    bench: Any, make_task: MakeTask, until: Until, error: type[RuntimeLostError], hung: object
) -> None:
    first, second = bench.submit(make_task, id="a"), bench.submit(make_task, id="b")
    bench.runtime.faults = [error("runtime_lost", "gone")]
    bench.runtime.waits_for = "a new start"
    bench.start()
    await until(lambda: bench.runtime.running)
    bench.pace.advance(0.999)  # the second is taken in hand
    await until(lambda: bench.state(second).status is TaskStatus.RUNNING)
    bench.runtime.go.set()
    await until(lambda: bench.state(first).status is TaskStatus.QUEUED)
    await until(lambda: bench.state(second).status is TaskStatus.QUEUED)
    await until(lambda: bench.health.waiting_for == "a new start")
    assert hung is bench.health.hung
    assert 1 == len(bench.runtime.jobs)
    bench.runtime.waits_for = None
    if error is RuntimeHungError:
        await until(lambda: "its restart" in bench.health.waiting_for)
        assert (True, 1) == (bench.health.hung, len(bench.runtime.jobs))  # its word counts for nothing
        bench.runtime.away = True
        await until(lambda: "an answer" in bench.health.waiting_for)
        bench.runtime.away = False
    await until(lambda: len(bench.results.sent) == 2)
    assert not bench.health.hung


async def test_a_runtime_that_does_not_come_back_ends_the_agent(
    bench: Any, make_task: MakeTask, until: Until
) -> None:
    task = bench.submit(make_task)
    bench.readiness._timeout = 0.1
    bench.runtime.faults = [RuntimeLostError("runtime_lost", "gone")]
    bench.runtime.waits_for = "nothing will help"
    bench.runtime.go.set()
    bench.start()
    await until(bench.work.done)
    with pytest.raises(ExceptionGroup) as caught:
        await bench.work
    assert "RuntimeNotReadyError" in repr(caught.value)
    assert TaskStatus.QUEUED is bench.state(task).status


async def test_a_task_that_is_cancelled_while_it_runs_is_interrupted_and_dropped(
    bench: Any, make_task: MakeTask, until: Until
) -> None:
    task = bench.submit(make_task)
    bench.start()
    await until(lambda: bench.runtime.running)
    bench.store.apply(task.key, tasks.cancel(now()))
    await until(lambda: not bench.inbox.messages)
    assert (1, {}, []) == (bench.runtime.interrupts, bench.blobs.files, bench.results.sent)
    assert TaskStatus.CANCELLED is bench.state(task).status


async def test_a_task_whose_deadline_passes_while_it_runs_expires(
    bench: Any, make_task: MakeTask, until: Until
) -> None:
    task = bench.submit(make_task, expires_at=now() + timedelta(seconds=0.3))
    bench.start()
    await until(lambda: not bench.inbox.messages)
    assert TaskStatus.EXPIRED is bench.state(task).status
    assert 1 == bench.runtime.interrupts


async def test_a_task_cancelled_in_hand_never_runs(bench: Any, make_task: MakeTask, until: Until) -> None:
    bench.submit(make_task, id="a")
    second = bench.submit(make_task, id="b")
    bench.start()
    await until(lambda: bench.runtime.running)
    bench.pace.advance(0.999)
    await until(lambda: bench.state(second).status is TaskStatus.RUNNING)
    bench.store.apply(second.key, tasks.cancel(now()))
    await until(lambda: len(bench.inbox.messages) == 1)
    bench.runtime.go.set()
    await until(lambda: not bench.inbox.messages)
    assert 1 == len(bench.runtime.jobs)


async def test_a_cancel_during_the_delivery_drops_the_outputs(
    make_bench: MakeBench, make_task: MakeTask, until: Until
) -> None:
    bench = make_bench(lease=60)  # or the message would come back, and be deleted for that
    task = bench.submit(make_task)
    bench.results.faults = [OUTAGE] * 10_000
    bench.runtime.go.set()
    bench.start()
    await until(lambda: bench.blobs.files)
    bench.store.apply(task.key, tasks.cancel(now()))
    await until(lambda: not bench.inbox.messages)
    assert [] == bench.results.sent


async def test_an_outage_of_s3_delays_the_upload_but_repeats_no_work(
    bench: Any, make_task: MakeTask, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = bench.submit(make_task)
    create, outages = bench.blobs.create, [OUTAGE, OUTAGE, OUTAGE]

    def fail_first(*arguments: Any) -> None:
        if outages:
            raise outages.pop()
        create(*arguments)

    monkeypatch.setattr(bench.blobs, "create", fail_first)
    bench.runtime.go.set()
    bench.start()
    await until(lambda: bench.results.sent)
    assert (1, 1) == (len(bench.runtime.jobs), bench.state(task).attempt)


async def test_a_bucket_that_refuses_puts_the_task_back(
    bench: Any, make_task: MakeTask, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = bench.submit(make_task)

    def refuse(*_: Any) -> None:
        raise DENIED

    monkeypatch.setattr(bench.blobs, "create", refuse)
    bench.runtime.go.set()
    bench.start()
    error = await until(lambda: bench.state(task).error)
    assert ("upload_refused", True) == (error.type, error.retryable)


async def test_an_outage_of_sqs_is_sat_out(bench: Any, make_task: MakeTask, until: Until) -> None:
    bench.inbox.faults = [OUTAGE] * 5
    bench.submit(make_task)
    bench.runtime.go.set()
    bench.start()
    await until(lambda: bench.results.sent)


async def test_an_idle_agent_drains_at_once(bench: Any) -> None:
    bench.start()
    await asyncio.sleep(0.05)
    bench.drain.begin()
    async with asyncio.timeout(1):
        await bench.work


async def test_a_stop_asked_for_before_the_start_is_not_lost(bench: Any, make_task: MakeTask) -> None:
    task = bench.submit(make_task)
    bench.drain.begin()
    bench.start()
    async with asyncio.timeout(1):
        await bench.work
    assert (TaskStatus.QUEUED, 0) == (bench.state(task).status, bench.state(task).attempt)


async def test_a_message_that_arrives_with_the_stop_is_put_back(bench: Any, make_task: MakeTask) -> None:
    task = bench.submit(make_task)
    bench.inbox.while_receiving = bench.intake.close
    bench.start()
    await asyncio.sleep(0.1)
    await bench.stop()
    assert 0 == bench.state(task).attempt
    assert ("m0", 0) == bench.inbox.hidings[0]


async def test_a_drain_finishes_what_runs_and_puts_back_what_is_in_hand(
    bench: Any, make_task: MakeTask, until: Until
) -> None:
    first, second = bench.submit(make_task, id="a"), bench.submit(make_task, id="b")
    bench.start()
    await until(lambda: bench.runtime.running)
    bench.pace.advance(0.999)
    await until(lambda: bench.state(second).status is TaskStatus.RUNNING)
    bench.drain.begin()
    await until(lambda: bench.state(second).status is TaskStatus.QUEUED)
    assert bench.runtime.running
    bench.runtime.go.set()
    await until(bench.work.done)
    assert TaskStatus.SUCCEEDED is bench.state(first).status
    assert 0 == bench.inbox.hidings[-1][1]
    assert 1 == len(bench.inbox.messages)


async def test_a_drain_stops_downloads(bench: Any, make_task: MakeTask, until: Until) -> None:
    task = bench.submit(make_task, content={"image": "https://example.com/x.png"})
    bench.downloads.hold = asyncio.Event()
    bench.start()
    await until(lambda: bench.downloads.fetched)
    bench.drain.begin()
    await until(bench.work.done)
    assert (TaskStatus.QUEUED, None) == (bench.state(task).status, bench.state(task).error)


@pytest.mark.parametrize("how", ["the grace ends", "a second signal"])
async def test_the_end_of_the_grace_interrupts_and_puts_back(
    make_bench: MakeBench, make_task: MakeTask, until: Until, how: str
) -> None:
    bench = make_bench(grace=0.1 if how == "the grace ends" else 60)
    task = bench.submit(make_task)
    bench.start()
    await until(lambda: bench.runtime.running)
    bench.drain.begin()
    if how == "a second signal":
        bench.drain.begin()
    await until(bench.work.done)
    assert (TaskStatus.QUEUED, None) == (bench.state(task).status, bench.state(task).error)
    assert (1, ("m0", 0)) == (bench.runtime.interrupts, bench.inbox.hidings[-1])


async def test_the_end_of_the_grace_ends_deliveries_too(
    make_bench: MakeBench, make_task: MakeTask, until: Until
) -> None:
    bench = make_bench(grace=0.1)
    task = bench.submit(make_task)
    bench.results.faults = [OUTAGE] * 10_000
    bench.runtime.go.set()
    bench.start()
    await until(lambda: bench.blobs.files)
    bench.drain.begin()
    await until(bench.work.done)
    assert TaskStatus.QUEUED is bench.state(task).status
    assert 1 == len(bench.inbox.messages)


async def test_a_worker_that_breaks_lets_go_of_everything(
    bench: Any, make_task: MakeTask, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = bench.submit(make_task)
    bench.start()
    await until(lambda: bench.runtime.running)

    def bug(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(bench.store, "get", bug)  # the heartbeat dies of it
    await until(bench.work.done)
    monkeypatch.undo()
    assert TaskStatus.QUEUED is bench.state(task).status
    with pytest.raises(ExceptionGroup):
        await bench.work


async def test_a_result_of_an_attempt_that_lost_the_task_is_not_sent(
    bench: Any, make_task: MakeTask, until: Until
) -> None:
    task = bench.submit(make_task)
    bench.start()
    await until(lambda: bench.runtime.running)
    later = now() + timedelta(minutes=5)
    bench.store.apply(task.key, tasks.claim(later, timedelta(minutes=1)))  # as if the lease had lapsed
    await until(lambda: bench.runtime.interrupts)
    bench.runtime.go.set()
    await asyncio.sleep(0.1)
    assert ([], 1) == (bench.results.sent, len(bench.inbox.messages))
    assert (TaskStatus.RUNNING, 2) == (bench.state(task).status, bench.state(task).attempt)
