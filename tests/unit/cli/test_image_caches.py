"""`darkroom image-cache build`."""

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from darkroom_cli import image_caches
from darkroom_cli.access import AwsAccess
from darkroom_cli.main import app

if TYPE_CHECKING:
    from collections.abc import Iterator

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:build"
EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:build:1"
DONE = {"status": "SUCCEEDED", "output": '{"snapshot_id": "snap-1", "images": ["a:1", "b:2"]}'}


class NotedAws:
    """A stack with the state machine; an execution goes through the given descriptions."""

    def __init__(self, *descriptions: dict[str, str], outputs: tuple[str, ...] = ("BuildImageCacheArn",)) -> None:
        self.inputs: list[Any] = []
        self._descriptions: Iterator[dict[str, str]] = iter(descriptions)
        self._outputs = outputs

    def describe_stacks(self, **_: str) -> Any:
        return {"Stacks": [{"Outputs": [{"OutputKey": it, "OutputValue": MACHINE} for it in self._outputs]}]}

    def start_execution(self, **parameters: str) -> Any:
        assert MACHINE == parameters["stateMachineArn"]
        self.inputs.append(json.loads(parameters["input"]))
        return {"executionArn": EXECUTION}

    def describe_execution(self, **_: str) -> Any:
        return next(self._descriptions)


def build(monkeypatch: pytest.MonkeyPatch, aws: NotedAws, *options: str) -> Any:
    monkeypatch.setattr(AwsAccess, "client", lambda *_: aws)
    monkeypatch.setattr(image_caches.ImageCaches.wait, "__defaults__", (lambda _: None,))
    monkeypatch.setattr(image_caches, "POLL", 3600)
    return CliRunner().invoke(app, ["image-cache", "build", *options])


def test_the_snapshots_id_is_all_that_goes_to_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = NotedAws({"status": "RUNNING"}, DONE)
    result = build(monkeypatch, aws, "a:1,b:2", "c:3", "--size", "100", "--subnet", "subnet-1")
    assert "snap-1\n" == result.stdout
    assert [{"images": ["a:1", "b:2", "c:3"], "size_gib": 100, "subnet": "subnet-1"}] == aws.inputs


def test_what_is_not_said_is_left_to_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = NotedAws(DONE)
    build(monkeypatch, aws, "a:1")
    assert [{"images": ["a:1"]}] == aws.inputs


def test_one_need_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    result = build(monkeypatch, NotedAws(), "a:1", "--no-wait", "--json")
    assert {"execution": EXECUTION} == json.loads(result.stdout)


@pytest.mark.parametrize(
    ("aws", "code", "said"),
    [
        (NotedAws({"status": "FAILED", "cause": "a:1 was not pulled"}), 1, "a:1 was not pulled"),
        (NotedAws({"status": "ABORTED"}), 1, "aborted"),
        (NotedAws(*[{"status": "RUNNING"}] * 6), 1, "still being made"),
        (NotedAws(outputs=()), 2, "makes no image caches"),
    ],
)
def test_what_goes_wrong_is_said(monkeypatch: pytest.MonkeyPatch, aws: NotedAws, code: int, said: str) -> None:
    result = build(monkeypatch, aws, "a:1")
    assert (code, "") == (result.exit_code, result.stdout)
    assert said in " ".join(result.stderr.split())


def test_an_instance_that_was_left_running_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    left = {"status": "SUCCEEDED", "output": '{"snapshot_id": "snap-1", "instance_left_running": "i-1"}'}
    result = build(monkeypatch, NotedAws(left), "a:1")
    assert "snap-1\n" == result.stdout
    assert "i-1" in result.stderr
