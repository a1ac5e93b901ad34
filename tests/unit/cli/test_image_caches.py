"""`darkroom image-cache build`."""

import json
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from darkroom_cli import image_caches
from darkroom_cli.access import AwsAccess
from darkroom_cli.image_caches import CacheRequest
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
        self.names: list[str] = []
        self.snapshots: list[dict[str, str]] = []
        self.running: list[dict[str, str]] = []
        self._descriptions: Iterator[dict[str, str]] = iter(descriptions)
        self._outputs = outputs

    def describe_stacks(self, **_: str) -> Any:
        return {"Stacks": [{"Outputs": [{"OutputKey": it, "OutputValue": MACHINE} for it in self._outputs]}]}

    def start_execution(self, **parameters: str) -> Any:
        assert MACHINE == parameters["stateMachineArn"]
        self.inputs.append(json.loads(parameters["input"]))
        self.names.append(parameters["name"])
        return {"executionArn": EXECUTION}

    def list_executions(self, **parameters: str) -> Any:
        assert {"stateMachineArn": MACHINE, "statusFilter": "RUNNING"} == parameters
        return {"executions": self.running}

    def describe_snapshots(self, **parameters: Any) -> Any:
        assert ["self"] == parameters["OwnerIds"]
        wanted = {it["Name"]: it["Values"] for it in parameters["Filters"]}
        assert ["completed"] == wanted["status"]
        (pattern,) = wanted["tag:darkroom:execution"]
        return {"Snapshots": [it for it in self.snapshots if fnmatchcase(it["Execution"], pattern)]}

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


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_the_newest_snapshot_of_the_same_request_is_taken(
    monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    aws, name = NotedAws(), CacheRequest(["b:2", "a:1"], 80).name
    aws.snapshots = [
        {"SnapshotId": "snap-other", "StartTime": "2026-11-03", "Execution": "images-0123456789ab-3"},
        {"SnapshotId": "snap-new", "StartTime": "2026-11-02", "Execution": f"{name}-2"},
        {"SnapshotId": "snap-old", "StartTime": "2026-11-01", "Execution": f"{name}-1"},
    ]
    result = build(monkeypatch, aws, "a:1,b:2", "--size", "80", *options)
    assert "snap-new" == (json.loads(result.stdout)["snapshot_id"] if options else result.stdout.strip())
    assert [] == aws.inputs


def test_another_request_or_again_makes_another(monkeypatch: pytest.MonkeyPatch) -> None:
    names: set[str] = set()
    for options in (("a:1",), ("a:1", "--size", "80"), ("a:1", "b:2"), ("a:1", "--architecture", "arm64")):
        aws = NotedAws(DONE)
        aws.snapshots = [{"SnapshotId": "snap-0", "StartTime": "2026-11-01", "Execution": name} for name in names]
        assert "snap-1\n" == build(monkeypatch, aws, *options).stdout
        names |= set(aws.names)
    assert 4 == len(names)
    aws = NotedAws(DONE)
    aws.snapshots = [{"SnapshotId": "snap-0", "StartTime": "2026-11-01", "Execution": name} for name in names]
    assert "snap-0\n" == build(monkeypatch, aws, "a:1").stdout
    assert "snap-1\n" == build(monkeypatch, aws, "a:1", "--again").stdout


def test_one_that_is_being_made_is_waited_for_and_not_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = NotedAws(DONE)
    other, same = CacheRequest(["b:2"]).name, CacheRequest(["a:1"]).name
    aws.running = [{"name": f"{other}-1", "executionArn": "x"}, {"name": f"{same}-1", "executionArn": EXECUTION}]
    result = build(monkeypatch, aws, "a:1")
    assert "snap-1\n" == result.stdout
    assert EXECUTION in result.stderr
    assert [] == aws.inputs


def test_an_instance_that_was_left_running_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    left = {"status": "SUCCEEDED", "output": '{"snapshot_id": "snap-1", "instance_left_running": "i-1"}'}
    result = build(monkeypatch, NotedAws(left), "a:1")
    assert "snap-1\n" == result.stdout
    assert "i-1" in result.stderr
