"""A whole agent beside a ComfyUI: from a message in the queue to files in the bucket."""

import io
import json
import signal
from typing import Any

from PIL import Image
from tests.integration.agent.clouds import Cloud, MakeTask, Start, StartRuntime, until

from darkroom import tasks
from darkroom.models import now
from darkroom.tasks import Task, TaskStatus, TaskType


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def sample(steps: int) -> dict[str, Any]:
    links = {"model": ["4", 0], "positive": ["6", 0], "negative": ["6", 0], "latent_image": ["5", 0]}
    settings = {"seed": 1, "cfg": 8, "sampler_name": "euler", "scheduler": "normal", "denoise": 1}
    return {
        "4": node("CheckpointLoaderSimple", ckpt_name="v1-5-pruned-emaonly.safetensors"),
        "5": node("EmptyLatentImage", width=64, height=64, batch_size=2),
        "6": node("CLIPTextEncode", text="a lighthouse", clip=["4", 1]),
        "3": node("KSampler", steps=steps, **links, **settings),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", images=["8", 0], filename_prefix="ComfyUI"),
    }


def submit(cloud: Cloud, make_task: MakeTask, content: dict[str, Any]) -> Task:
    return cloud.submit(make_task, type=TaskType.PIPELINE, content=content)


def test_a_workflow_becomes_images_and_one_of_those_the_input_of_the_next(
    cloud: Cloud, make_task: MakeTask, start_runtime: StartRuntime, start_agent: Start
) -> None:
    start_agent(start_runtime(kind="comfyui")[1], runtime_type="comfyui")
    first = cloud.end_of(submit(cloud, make_task, sample(2)))
    assert first.status is TaskStatus.SUCCEEDED, first.error
    assert [1, 2] == [int(link.rpartition("-")[2].removesuffix(".png")) for link in first.images]
    answer = json.loads(cloud.read(first.output_url or ""))
    assert [1, 2] == [image["number"] for image in answer["outputs"]["9"]["images"]]

    second = cloud.end_of(
        submit(
            cloud,
            make_task,
            {
                "1": node("LoadImage", image=first.images[0]),
                "2": node("ImageScaleBy", image=["1", 0], upscale_method="lanczos", scale_by=2),
                "9": node("SaveImage", images=["2", 0], filename_prefix="x"),
                "10": node("LoadImage", image="https://127.0.0.1/inside.png"),
            },
        )
    )
    assert second.error is not None  # the second link leads inside
    assert ("input_forbidden", "content.10.inputs.image") == (
        second.error.type,
        second.error.message.partition(":")[0],
    )

    third = cloud.end_of(
        submit(
            cloud,
            make_task,
            {
                "1": node("LoadImage", image=first.images[0]),
                "2": node("ImageScaleBy", image=["1", 0], upscale_method="lanczos", scale_by=2),
                "9": node("SaveImage", images=["2", 0], filename_prefix="x"),
            },
        )
    )
    assert third.status is TaskStatus.SUCCEEDED, third.error
    whole = Image.open(io.BytesIO(cloud.read(first.images[0]))).resize((128, 128), Image.Resampling.LANCZOS)
    assert whole.tobytes() == Image.open(io.BytesIO(cloud.read(third.images[0]))).tobytes()


def test_a_workflow_that_cannot_run_fails_and_names_its_nodes(
    cloud: Cloud, make_task: MakeTask, start_runtime: StartRuntime, start_agent: Start
) -> None:
    start_agent(start_runtime(kind="comfyui")[1], runtime_type="comfyui")
    ended = cloud.end_of(submit(cloud, make_task, sample(1) | {"12": node("ImageInvert", image=["8", 1])}))
    assert TaskStatus.SUCCEEDED is ended.status  # a loose end is none of the outputs
    broken = sample(1) | {"12": node("ImageInvert"), "13": node("SaveImage", images=["12", 0], filename_prefix="x")}
    ended = cloud.end_of(submit(cloud, make_task, broken))
    assert ended.error is not None
    assert ("partial_workflow", False) == (ended.error.type, ended.error.retryable)
    assert "node 12 (ImageInvert)" in ended.error.message


def test_a_cancelled_workflow_is_interrupted(
    cloud: Cloud, make_task: MakeTask, start_runtime: StartRuntime, start_agent: Start
) -> None:
    agent = start_agent(start_runtime(kind="comfyui")[1], runtime_type="comfyui")
    task = submit(cloud, make_task, sample(10_000))
    until(lambda: cloud.state(task).progress, "progress in the table")
    cloud.store.apply(task.key, tasks.cancel(now()))
    until(lambda: agent.events("task_abandoned"), "the interrupt")
    assert TaskStatus.SUCCEEDED is cloud.end_of(submit(cloud, make_task, sample(1))).status


def test_a_comfyui_killed_in_mid_run_and_back_finishes_the_task(
    cloud: Cloud, make_task: MakeTask, start_runtime: StartRuntime, start_agent: Start
) -> None:
    comfyui, url = start_runtime(kind="comfyui")
    start_agent(url, runtime_type="comfyui")
    task = submit(cloud, make_task, sample(60))
    until(lambda: cloud.state(task).progress, "progress in the table")
    comfyui.stop(signal.SIGKILL)
    until(lambda: cloud.state(task).status is TaskStatus.QUEUED, "the release")
    error = cloud.state(task).error
    assert error is not None
    assert "runtime_lost" == error.type
    start_runtime(int(url.rpartition(":")[2]), "comfyui")
    ended = cloud.end_of(task)
    assert (TaskStatus.SUCCEEDED, 2) == (ended.status, ended.attempt)
