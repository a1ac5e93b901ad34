"""The client's flows, performed by hand: no socket, no clock."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from darkroom_cli import calls
from darkroom_cli.errors import ClientError, ServerError, UnreachableError, WaitTimeoutError
from darkroom_cli.flows import Answer, Effect, Emit, Flow, Now, Pause, Run, Send, Together, Transfer
from darkroom_cli.limits import Limits, Polling, Retries
from darkroom_cli.operations import Operations

LIMITS = Limits(
    retries=Retries(tries=3, first=1, longest=2), polling=Polling(first=1, longest=4, growth=2, prefer=20)
)
DOES = Operations(LIMITS)


class Hand:
    """Performs a flow: `say` answers requests; time passes only in pauses, and as `takes` says in requests."""

    def __init__(self, say: Callable[[Send | Transfer], Answer | ClientError], takes: float = 0) -> None:
        self.say = say
        self.takes = takes
        self.now = 100.0
        self.pauses: list[float] = []
        self.items: list[Any] = []
        self.sent: list[Send | Transfer] = []

    def perform(self, flow: Flow[Any]) -> Any:
        run = Run(flow)
        while run.effect is not None:
            outcome = self._one(run.effect)
            if isinstance(outcome, ClientError):
                run.fail(outcome)
            else:
                run.succeed(outcome)
        return run.result

    def _one(self, effect: Effect) -> Any:
        match effect:
            case Now():
                return self.now
            case Pause(seconds):
                self.pauses.append(seconds)
                self.now += seconds
                return None
            case Emit(item):
                self.items.append(item)
                return None
            case Together(flows):
                return [self.perform(flow) for flow in flows]
            case _:
                self.sent.append(effect)
                self.now += self.takes
                return self.say(effect)


def shown(status: str = "running", **more: Any) -> Answer:
    task = {"id": "dog", "type": "text-to-image", "status": status} | more
    return Answer(200, {"content-type": "application/json"}, json.dumps(task).encode())


def test_the_pause_between_looks_grows_while_nothing_changes() -> None:
    answers = iter([shown()] * 5 + [shown("succeeded")])
    hand = Hand(lambda _: next(answers))

    hand.perform(DOES.watch("dog", None))

    assert hand.pauses == [1, 2, 4, 4, 4]


def test_a_change_brings_quick_looks_back() -> None:
    answers = iter([shown(), shown(), shown(progress=0.5), shown(progress=0.5), shown("succeeded")])
    hand = Hand(lambda _: next(answers))

    hand.perform(DOES.watch("dog", None))

    assert hand.pauses == [1, 2, 1, 2]
    assert [task.progress for task in hand.items] == [None, 0.5, None]


def test_a_new_link_to_the_same_preview_is_no_change() -> None:
    links = [f"https://bucket/preview.png?signature={number}" for number in range(3)]
    answers = iter([*(shown(preview_url=link) for link in links), shown("succeeded")])
    hand = Hand(lambda _: next(answers))

    hand.perform(DOES.watch("dog", None))

    assert [task.status for task in hand.items] == ["running", "succeeded"]


def test_an_answer_that_was_held_back_is_a_pause_already() -> None:
    answers = iter([shown(), shown(), shown("succeeded")])
    hand = Hand(lambda _: next(answers), takes=20)

    hand.perform(DOES.wait("dog", None))

    assert hand.pauses == []


def test_a_wait_with_a_time_limit_prefers_no_longer_answer_than_is_left_and_looks_a_last_time() -> None:
    hand = Hand(lambda _: shown())

    with pytest.raises(WaitTimeoutError):
        hand.perform(DOES.wait("dog", 5))

    preferred = [send.headers.get("Prefer") for send in hand.sent if isinstance(send, Send)]
    assert preferred == ["wait=5", "wait=4", "wait=2", None]
    assert hand.now == 105


def test_a_zero_time_limit_is_one_look() -> None:
    hand = Hand(lambda _: shown())

    with pytest.raises(WaitTimeoutError):
        hand.perform(DOES.wait("dog", 0))

    assert len(hand.sent) == 1


def test_tries_end_and_the_last_fault_is_told() -> None:
    hand = Hand(lambda _: UnreachableError("nobody there"))

    with pytest.raises(UnreachableError, match="nobody there"):
        hand.perform(DOES.ask(calls.get("dog")))

    assert len(hand.sent) == LIMITS.retries.tries


def test_a_call_that_must_not_be_repeated_is_repeated_only_where_it_was_never_sent() -> None:
    faults = iter([UnreachableError(sent=False), UnreachableError(sent=True)])
    hand = Hand(lambda _: next(faults))

    with pytest.raises(UnreachableError):
        hand.perform(DOES.ask(calls.retry("dog")))

    assert len(hand.sent) == 2


def test_a_retry_after_date_is_read() -> None:
    hand = Hand(lambda _: Answer(503, {"retry-after": "Fri, 01 Jan 1999 00:00:00 GMT"}))

    with pytest.raises(ServerError) as caught:
        hand.perform(DOES.ask(calls.get("dog")))

    assert (caught.value.retry_after, hand.pauses) == (0.0, [0.0, 0.0])


def test_ids_are_quoted_in_paths() -> None:
    assert calls.get("../a b?").send.path == "/v1/tasks/..%2Fa%20b%3F"


def test_one_submission_keeps_its_id_and_key_and_another_gets_others() -> None:
    form: Any = {"type": "text-to-image", "content": {"prompt": "A dog"}, "runtime": "sdruntime"}

    first, second = calls.submit(form), calls.submit(form)

    assert first.send.body != second.send.body
    assert first.send.headers["Idempotency-Key"] != second.send.headers["Idempotency-Key"]
    assert "id" not in form


def test_a_key_of_ones_own_leaves_the_id_to_the_api_so_that_another_process_repeats_the_same() -> None:
    form: Any = {"type": "text-to-image", "content": {"prompt": "A dog"}, "runtime": "sdruntime"}

    first, second = calls.submit(form, key="order-7"), calls.submit(form, key="order-7")

    assert first.send == second.send
    assert first.send.headers["Idempotency-Key"] == "order-7"


def test_names_of_uploads_are_made_plain() -> None:
    def name(path: str) -> str:
        return str(json.loads(calls.request_upload(path, 1, "image/png").send.body or b"")["filename"])

    assert [name(it) for it in ("cat.png", "../größe?.png", ".hidden", "…", "a..b")] == [
        "cat.png",
        "gr__e_.png",
        "hidden",
        "file",
        "a_b",
    ]
