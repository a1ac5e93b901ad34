"""What the client does with batches, its flows answered by hand."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from darkroom.models import JsonObject
from darkroom_cli.batch_flows import BatchFlows
from darkroom_cli.errors import TransferError, WaitTimeoutError
from darkroom_cli.flows import Answer, Effect, Emit, Flow, Now, Pause, Run, Send, Transfer
from darkroom_cli.limits import Limits
from darkroom_cli.operations import Operations

FILE = {"uri": "s3://b/results.jsonl", "url": "https://b/results.jsonl"}


def batch(status: str = "running", results: Mapping[str, str] | None = None, **progress: int | None) -> JsonObject:
    shown = {"rows": 3} | progress
    return {"id": "b", "status": status, "manifest": "s3://b/x.csv", "results": results, "progress": shown}


class Api:
    """Answers in turn; a pause lets time pass."""

    def __init__(self, *answers: JsonObject) -> None:
        self.answers = list(answers)
        self.sent: list[Send] = []
        self.transfers: list[Transfer] = []
        self.emitted: list[Any] = []
        self.time = 0.0

    def run(self, flow: Flow[Any]) -> Any:
        run = Run(flow)
        while run.effect is not None:
            run.succeed(self._perform(run.effect))
        return run.result

    def _perform(self, effect: Effect) -> object:
        match effect:
            case Send():
                self.sent.append(effect)
                return Answer(200, {}, json.dumps(self.answers.pop(0)).encode())
            case Transfer():
                self.transfers.append(effect)
                return Answer(200, {}, saved=effect.target)
            case Pause(seconds):
                self.time += seconds
            case Emit(item):
                self.emitted.append(item)
            case Now():
                return self.time
        return None


flows = BatchFlows(Operations(Limits()))


def test_a_manifest_on_this_machine_is_uploaded_and_a_link_is_not(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("prompt\na dog\n")
    api = Api({"uri": "s3://b/uploads/x/rows.csv", "url": "https://put"}, batch(), batch())

    api.run(flows.submit(file, {"pipeline": "poster"}, None))
    api.run(flows.submit("s3://b/y.csv", {}, None))

    assert [it.path for it in api.sent] == ["/v1/uploads", "/v1/batches", "/v1/batches"]
    asked = [json.loads(it.body or b"") for it in api.sent[1:]]
    assert asked == [{"manifest": "s3://b/uploads/x/rows.csv", "pipeline": "poster"}, {"manifest": "s3://b/y.csv"}]
    assert all(it.headers["Idempotency-Key"] for it in api.sent[1:])


def test_a_batch_is_followed_until_nothing_of_it_goes_on() -> None:
    stopped = batch("cancelled", running=1)
    api = Api(
        batch(rows=None), batch(), batch(), batch(succeeded=2), stopped, batch("cancelled", FILE, succeeded=2)
    )

    ended = api.run(flows.follow("b", None))

    assert ended.results is not None
    assert [(it.status, it.begun, it.progress.succeeded) for it in api.emitted] == [
        ("running", False, 0),
        ("running", True, 0),
        ("running", True, 2),
        ("cancelled", True, 0),
        ("cancelled", True, 2),
    ]


def test_a_batch_whose_manifest_could_not_be_read_has_ended_without_results() -> None:
    assert Api(batch("failed", rows=None)).run(flows.follow("b", None)).status == "failed"


def test_who_waits_no_longer_is_told_how_to_go_on() -> None:
    with pytest.raises(WaitTimeoutError, match="batch b is still running after 3 s") as error:
        Api(*[batch()] * 50).run(flows.follow("b", 3))

    assert "darkroom batches watch b" in (error.value.hint or "")


def test_a_list_asks_for_pages_as_far_as_it_must() -> None:
    api = Api({"items": [batch()] * 100, "next_cursor": "c"}, {"items": [batch()] * 20, "next_cursor": "d"})

    api.run(flows.list(120))

    assert len(api.emitted) == 120
    assert [it.query for it in api.sent] == [{"limit": "100"}, {"limit": "20", "cursor": "c"}]


def test_results_that_are_not_there_yet_are_no_file(tmp_path: Path) -> None:
    with pytest.raises(TransferError, match="running"):
        Api(batch()).run(flows.download("b", tmp_path / "x", failures=False))
    api = Api(batch("succeeded", FILE))
    assert api.run(flows.download("b", tmp_path / "x", failures=False)) == tmp_path / "x"
    assert [it.url for it in api.transfers] == [FILE["url"]]
