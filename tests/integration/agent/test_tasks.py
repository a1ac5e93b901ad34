"""A whole agent beside SD WebUI: from a message in the queue to files in the bucket."""

import json
import re
import signal
import time

from tests.integration.agent.clouds import LONG, QUICK, Cloud, MakeTask, Start, StartRuntime, until

from darkroom.tasks import Task, TaskStatus, TaskType


def png_size(data: bytes) -> tuple[int, int]:
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def test_a_task_becomes_images_in_the_bucket_and_one_result(
    cloud: Cloud, make_task: MakeTask, start_runtime: StartRuntime, start_agent: Start
) -> None:
    _, url = start_runtime()
    agent = start_agent(url)
    task = cloud.submit(make_task, content=QUICK | {"batch_size": 2})
    ended = cloud.end_of(task)
    assert ended.status is TaskStatus.SUCCEEDED
    stem = re.fullmatch(f"({task.output_location}/{task.id}-[a-z0-9]{{4}})\\.out", ended.output_url or "")
    assert stem
    assert (f"{stem.group(1)}-1.png", f"{stem.group(1)}-2.png") == ended.images
    head = cloud.head(ended.images[0])
    assert ("image/png", {"task-id": task.id}) == (head["ContentType"], head["Metadata"])
    answer = json.loads(cloud.read(stem.group(0)))
    assert "images" not in answer
    assert 2 == len(json.loads(answer["info"])["all_seeds"])
    until(lambda: cloud.count() == (0, 0), "the message's deletion")
    agent.stop()
    assert 0 == agent.wait()


def test_links_of_every_kind_reach_the_runtime_as_images(
    cloud: Cloud, make_task: MakeTask, start_runtime: StartRuntime, start_agent: Start
) -> None:
    _, url = start_runtime()
    start_agent(url, allowed_networks="127.0.0.0/8")
    first = cloud.end_of(cloud.submit(make_task))
    image = first.images[0]
    bucket, _, key = image.removeprefix("s3://").partition("/")
    http = cloud.client("s3").generate_presigned_url("get_object", {"Bucket": bucket, "Key": key})
    for link in (image, http):
        content = QUICK | {"init_images": [link]}
        ended = cloud.end_of(cloud.submit(make_task, type=TaskType.IMAGE_TO_IMAGE, content=content))
        assert TaskStatus.SUCCEEDED is ended.status, ended.error
    upscale = {"image": image, "upscaling_resize": 2, "upscaler_1": "Lanczos"}
    ended = cloud.end_of(cloud.submit(make_task, type=TaskType.EXTRA_SINGLE_IMAGE, content=upscale))
    assert (128, 128) == png_size(cloud.read(ended.images[0]))


def test_what_cannot_work_fails_and_says_why(
    cloud: Cloud, make_task: MakeTask, start_runtime: StartRuntime, start_agent: Start
) -> None:
    _, url = start_runtime()
    start_agent(url, dynamic_model="true")
    ended = cloud.end_of(cloud.submit(make_task, model="no-such-model.safetensors"))
    assert ended.error is not None
    assert "model_not_found" == ended.error.type
    assert "v1-5-pruned-emaonly.safetensors" in ended.error.message
    inside = QUICK | {"init_images": [f"{cloud.url}/x.png"]}
    ended = cloud.end_of(cloud.submit(make_task, type=TaskType.IMAGE_TO_IMAGE, content=inside))
    assert ended.error is not None
    assert ("input_forbidden", False) == (ended.error.type, ended.error.retryable)
    assert "content.init_images[0]" in ended.error.message


def test_a_drain_with_a_long_grace_finishes_what_runs_and_takes_nothing_more(
    cloud: Cloud, make_task: MakeTask, start_runtime: StartRuntime, start_agent: Start
) -> None:
    _, url = start_runtime()
    agent = start_agent(url, drain_seconds=30)
    task = cloud.submit(make_task, content=LONG)
    until(lambda: cloud.state(task).status is TaskStatus.RUNNING, "the claim")
    agent.stop()
    agent.until_event("drain_started")
    later = cloud.submit(make_task)
    ended = cloud.end_of(task)
    assert (TaskStatus.SUCCEEDED, 1) == (ended.status, ended.attempt)
    assert 0 == agent.wait()
    assert (TaskStatus.QUEUED, (1, 0)) == (cloud.state(later).status, cloud.count())


def test_a_runtime_killed_in_mid_run_and_back_finishes_the_task(
    cloud: Cloud, make_task: MakeTask, start_runtime: StartRuntime, start_agent: Start
) -> None:
    runtime, url = start_runtime()
    agent = start_agent(url)
    task = cloud.submit(make_task, content=LONG)
    until(lambda: cloud.state(task).progress, "progress in the table")
    runtime.stop(signal.SIGKILL)
    until(lambda: cloud.state(task).status is TaskStatus.QUEUED, "the release")
    error = cloud.state(task).error
    assert error is not None
    assert "runtime_lost" == error.type
    agent.until_event("runtime_awaited")
    start_runtime(int(url.rpartition(":")[2]))
    ended = cloud.end_of(task)
    assert (TaskStatus.SUCCEEDED, 2) == (ended.status, ended.attempt)


def test_a_running_task_shows_how_far_it_is_and_what_it_has(
    cloud: Cloud, make_task: MakeTask, start_runtime: StartRuntime, start_agent: Start
) -> None:
    _, url = start_runtime()
    start_agent(url, preview_seconds=0.3)
    task = cloud.submit(make_task, content=LONG | {"steps": 100})
    seen = until(lambda: cloud.state(task).progress, "progress")
    assert 0 < seen < 1
    until(lambda: (cloud.state(task).progress or 0) > seen, "more progress")
    preview = until(lambda: cloud.state(task).preview, "a preview")
    assert f"s3://{cloud.names['bucket']}/.previews/{task.owner}/{task.id}.png" == preview
    assert cloud.read(preview).startswith(b"\x89PNG")
    assert TaskStatus.SUCCEEDED is cloud.end_of(task).status


def test_an_urgent_task_overtakes_those_that_wait_and_is_run_once(
    cloud: Cloud, make_task: MakeTask, start_runtime: StartRuntime, start_agent: Start
) -> None:
    waiting = [cloud.submit(make_task, content=QUICK | {"steps": 10}) for _ in range(4)]
    urgent = cloud.submit(make_task, priority="high")
    _, url = start_runtime()
    agent = start_agent(url)
    ended: list[Task] = []

    def all_ended() -> bool:
        ended.extend(cloud.accept_result())
        return len(ended) == 5

    until(all_ended, "five results")
    assert urgent.key == ended[0].key
    assert {task.key for task in ended} == {task.key for task in (*waiting, urgent)}
    until(lambda: (cloud.count(), cloud.count("priority")) == ((0, 0), (0, 0)), "the messages' deletion")
    assert 5 == len(agent.events("task_claimed"))


def test_an_idle_agent_gets_an_urgent_task_at_once(
    cloud: Cloud, make_task: MakeTask, start_runtime: StartRuntime, start_agent: Start
) -> None:
    _, url = start_runtime()
    agent = start_agent(url, poll_seconds=20)
    agent.until_event("runtime_ready")
    time.sleep(0.5)  # it waits at the ordinary queue
    started = time.monotonic()
    assert TaskStatus.SUCCEEDED is cloud.end_of(cloud.submit(make_task, priority="high")).status
    assert time.monotonic() - started < 5


def test_an_environment_that_lacks_variables_is_told_at_once(start_process: Start) -> None:
    agent = start_process("darkroom_agent")
    assert 2 == agent.wait()
    assert "DARKROOM_QUEUE_URL" in agent.text()
