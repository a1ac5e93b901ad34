"""What `darkroom verify` asks of which runtime."""

import json
from pathlib import Path
from typing import Any

import pytest

from darkroom_cli.client import Client
from darkroom_cli.deploy.config import DEFAULT_MODEL
from darkroom_cli.deploy.verification import choose_runtime, own_probe, probes
from darkroom_cli.errors import UsageError
from darkroom_cli.runtimes import Runtime

EVERY = ("extra-single-image", "image-to-image", "pipeline", "text-to-image")


def runtime(type_: str, *task_types: str, name: str = "sdruntime", **more: Any) -> Runtime:
    return Runtime(name=name, type=type_, task_types=task_types or EVERY, **more)


class Registered(Client):
    """A client of a Darkroom with these runtimes."""

    def __init__(self, *found: Runtime) -> None:
        self.found = found

    def runtimes(self) -> tuple[Runtime, ...]:
        return self.found


def test_a_runtime_gets_those_requests_that_it_takes() -> None:
    assert ["t2i", "i2i", "extra"] == [it.short for it in probes("sdwebui", runtime("sdwebui"))]
    assert ["i2i"] == [it.short for it in probes("sdwebui", runtime("sdwebui", "image-to-image"))]


@pytest.mark.parametrize(("model", "loaded"), [("", DEFAULT_MODEL), ("own.safetensors", "own.safetensors")])
def test_a_pipeline_loads_the_model_that_there_is(model: str, loaded: str) -> None:
    (probe,) = probes("comfyui", runtime("comfyui", model=model))
    assert loaded == probe.content["4"]["inputs"]["ckpt_name"]


@pytest.mark.parametrize("type_", ["http", "invokeai", "sdwebui"])
def test_where_no_request_fits_ones_own_is_asked_for(type_: str) -> None:
    with pytest.raises(
        UsageError, match=f"no test requests for sdruntime \\({type_}\\), which takes interrogate"
    ) as caught:
        probes(type_, runtime(type_, "interrogate"))
    assert "--task" in str(caught.value.hint)


def test_a_request_of_ones_own_comes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "flip.json"
    path.write_text(json.dumps({"type": "extra-single-image", "content": {"scale": 2}}))
    body = own_probe(path).request("flips", "1a2b")["task"]
    assert ("test-own-1a2b", "flips", "extra-single-image") == tuple(
        body["metadata"][key] for key in ("id", "runtime", "tasktype")
    )
    assert {"scale": 2} == body["content"]


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"type": "x"}', '{"type": 1, "content": {}}', '{"type": "x", "content": {}, "contents": {}}'],
)
def test_a_file_that_holds_no_request_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "flip.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"flip\.json"):
        own_probe(path)


def test_without_a_name_the_default_runtime_is_asked_or_the_only_one() -> None:
    comfy, default = runtime("comfyui", name="comfy"), runtime("sdwebui")
    assert default == choose_runtime(Registered(comfy, default), None)
    assert comfy == choose_runtime(Registered(comfy), None)
    for found in ((), (comfy, runtime("http", name="mine"))):
        with pytest.raises(UsageError, match="--runtime-name"):
            choose_runtime(Registered(*found), None)
