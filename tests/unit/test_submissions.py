"""Accepting tasks."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from darkroom.errors import TaskConflictError, UnknownRuntimeError, UnsupportedTaskError
from darkroom.requests import TaskRequest, read_v1alpha1, read_v1alpha2
from darkroom.runtimes import Runtime, RuntimeType
from darkroom.submissions import INLINE_CONTENT, Submissions
from darkroom.testing import InMemoryBlobStore, InMemoryRuntimeRegistry, InMemoryTaskStore

STATIC = Runtime(name="static", type=RuntimeType.SDWEBUI, model="a.safetensors")
DYNAMIC = Runtime(name="dynamic", type=RuntimeType.SDWEBUI, model="b.safetensors", dynamic_model=True)


def submissions(*runtimes: Runtime) -> Submissions:
    registry = InMemoryRuntimeRegistry({runtime.name: runtime for runtime in runtimes})
    return Submissions(InMemoryTaskStore(), InMemoryBlobStore(), registry, "bucket", timedelta(hours=1))


def by_name(runtime: str, model: str | None = None, **content: Any) -> TaskRequest:
    scripts = {"alwayson_scripts": {"sd_model_checkpoint": model}} if model else {}
    metadata = {"id": "a", "runtime": runtime, "tasktype": "text-to-image", "prefix": "output"}
    return read_v1alpha2(
        json.dumps({"task": {"metadata": metadata, "content": {"prompt": "A"} | scripts | content}}).encode()
    )


def by_model(model: str) -> TaskRequest:
    controls = {"task": "text-to-image", "sd_model_checkpoint": model, "id_task": "a"}
    return read_v1alpha1(json.dumps({"alwayson_scripts": controls, "prompt": "A"}).encode())


def test_an_accepted_task_is_in_the_store_with_its_deadline_and_place(start: datetime) -> None:
    accept = submissions(STATIC)

    task = accept.submit(by_name("static"), "key1", start)

    assert accept.store.get(task.key) == task
    assert (task.output_location, task.expires_at, task.content) == (
        "s3://bucket/output/a",
        start + timedelta(hours=1),
        {"prompt": "A"},
    )


@pytest.mark.parametrize(
    ("reach", "at", "words"),
    [
        ({"owners": ("key2", "key3")}, "task.metadata.runtime", "other API keys only"),
        ({"output_prefix": "team-a"}, "task.metadata.prefix", "'team-a' only"),
        ({"output_prefix": "out"}, "task.metadata.prefix", "'out' only"),
    ],
)
def test_what_a_runtimes_pods_have_no_right_to_is_refused_at_once(
    start: datetime, reach: dict[str, Any], at: str, words: str
) -> None:
    with pytest.raises(UnsupportedTaskError) as caught:
        submissions(STATIC.model_copy(update=reach)).submit(by_name("static"), "key1", start)
    (fault,) = caught.value.fields
    assert at == fault.field
    assert words in fault.message


@pytest.mark.parametrize(
    "reach",
    [{"owners": ("key2", "key1")}, {"owners": ("*",)}, {"output_prefix": "output"}, {"output_prefix": "out*"}, {}],
)
def test_what_a_runtimes_pods_have_a_right_to_is_accepted(start: datetime, reach: dict[str, Any]) -> None:
    assert submissions(STATIC.model_copy(update=reach)).submit(by_name("static"), "key1", start)


def test_an_unknown_runtime_is_refused_and_the_known_ones_are_named(start: datetime) -> None:
    with pytest.raises(UnknownRuntimeError) as caught:
        submissions(STATIC, DYNAMIC).submit(by_name("typo"), "key1", start)

    (fault,) = caught.value.fields
    assert fault.field == "task.metadata.runtime"
    assert "dynamic, static" in fault.message


def test_a_runtime_deployed_a_moment_ago_is_found(start: datetime) -> None:
    accept = submissions()
    assert isinstance(accept.registry, InMemoryRuntimeRegistry)
    accept.registry.all()
    accept.registry.deployed["static"] = STATIC

    assert accept.submit(by_name("static"), "key1", start).runtime == "static"


def test_a_known_runtime_costs_no_second_look_at_the_registry(start: datetime) -> None:
    accept = submissions(STATIC)
    assert isinstance(accept.registry, InMemoryRuntimeRegistry)
    for _ in range(3):
        accept.submit(by_name("static"), "key1", start)

    assert accept.registry.refreshes == 1


def test_a_static_runtime_refuses_another_checkpoint_and_a_dynamic_one_takes_it(start: datetime) -> None:
    with pytest.raises(UnsupportedTaskError) as caught:
        submissions(STATIC).submit(by_name("static", model="x"), "key1", start)

    assert caught.value.fields[0].field == "task.content.alwayson_scripts.sd_model_checkpoint"
    assert submissions(DYNAMIC).submit(by_name("dynamic", model="x"), "key1", start).model == "x"


@pytest.mark.parametrize(
    ("model", "runtime", "routed_by_model"),
    [
        pytest.param("a.safetensors", "static", True, id="the runtime that serves it"),
        pytest.param("b.safetensors", "dynamic", False, id="the dynamic runtime that has it loaded"),
        pytest.param("x.safetensors", "dynamic", False, id="any that can load it"),
    ],
)
def test_a_checkpoint_finds_its_runtime(
    start: datetime, model: str, runtime: str, *, routed_by_model: bool
) -> None:
    task = submissions(DYNAMIC, STATIC).submit(by_model(model), "key1", start)

    assert (task.runtime, task.model, task.routed_by_model) == (runtime, model, routed_by_model)


def test_a_checkpoint_that_no_runtime_serves_is_refused(start: datetime) -> None:
    with pytest.raises(UnknownRuntimeError) as caught:
        submissions(STATIC).submit(by_model("x"), "key1", start)

    assert caught.value.fields[0].field == "alwayson_scripts.sd_model_checkpoint"


def test_a_large_content_waits_in_the_bucket(start: datetime) -> None:
    accept = submissions(STATIC)
    content = {"prompt": "A", "init": "x" * INLINE_CONTENT}

    task = accept.submit(by_name("static", **content), "key1", start)

    assert task.content is None
    assert task.content_ref is not None
    assert task.content_ref.startswith("s3://bucket/.requests/")
    assert json.loads(accept.blobs.get(task.content_ref)) == content


def test_the_same_id_with_another_body_is_a_conflict_while_the_first_is_unfinished(start: datetime) -> None:
    accept = submissions(STATIC)
    first = accept.submit(by_name("static"), "key1", start)

    assert accept.submit(by_name("static"), "key1", start + timedelta(seconds=1)) == first
    with pytest.raises(TaskConflictError):
        accept.submit(by_name("static", steps=3), "key1", start)
