"""How webhooks are delivered: tries, waits, ends, and what a dying process leaves behind."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from darkroom import tasks
from darkroom.answers import TaskSummary
from darkroom.couriers import Courier
from darkroom.deliveries import A_DAY, A_MOMENT, Delivery, DeliveryState, Fault, Reply, Schedule, WebhookFailed
from darkroom.events import event_id, news
from darkroom.notices import Notice, notice
from darkroom.signatures import verify
from darkroom.tasks import Task, changed
from darkroom.testing import Recorder
from darkroom.webhook_testing import InMemoryDeliveryLog, InMemorySigningKeys
from darkroom.webhooks import Webhook

MakeTask = Callable[..., Task]
URL = "https://example.com/hooks"
OK = Reply(status=204)
DOWN = Reply(status=503)


@dataclass
class World(Recorder):
    """A receiver whose answers are listed, and everything else in memory."""

    at: datetime = field(default_factory=datetime.now)
    replies: list[Reply] = field(default_factory=list)
    posts: list[tuple[str, bytes, Mapping[str, str]]] = field(default_factory=list)
    log: InMemoryDeliveryLog = field(default_factory=InMemoryDeliveryLog)
    keys: InMemorySigningKeys = field(default_factory=InMemorySigningKeys)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        self.posts.append((url, body, headers))
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    @property
    def courier(self) -> Courier:
        return Courier(self.keys, self, self.log, self, self, clock=lambda: self.at, chance=lambda: 0.5)

    def run(self, first: Notice) -> Delivery:
        """Deliver, and what follows from it, until the queue is empty; returns the last delivery."""
        self.notices.append((first, 0))
        last: Delivery | None = None
        while self.notices:
            message, wait = self.notices.pop(0)
            self.at += timedelta(seconds=min(wait, 900))
            try:
                last = self.courier.deliver(message) or last
            except KeyboardInterrupt:  # the process died; its message comes back when the queue shows it again
                self.notices.append((message, 180))
        assert last is not None
        return last


@pytest.fixture
def world(start: datetime) -> World:
    return World(at=start, replies=[OK])


@pytest.fixture
def message(make_task: MakeTask, start: datetime) -> Notice:
    """The notice that a task with a webhook has succeeded."""
    running = changed(make_task(webhook=Webhook(url=URL)), tasks.claim(start, timedelta(minutes=1)))
    done = changed(running, tasks.succeed(start, 1, images=("s3://b/1.png",), output_url=None, timings=None))
    made = notice(done, news(running, done), start)
    assert made is not None
    return made


def test_a_webhook_holds_the_task_and_is_signed_with_its_owners_secret(world: World, message: Notice) -> None:
    world.run(message)

    ((url, body, headers),) = world.posts
    payload = json.loads(body)
    assert url == URL
    assert (payload["type"], payload["timestamp"]) == ("task.succeeded", "2026-01-31T12:00:00.000Z")
    assert set(payload["data"]) == set(TaskSummary.model_fields)
    assert (payload["data"]["id"], payload["data"]["images"]) == (
        "test-t2i",
        [{"uri": "s3://b/1.png", "url": None}],
    )
    assert headers["content-type"] == "application/json"
    verify(world.keys.get("key1", "default").current, headers, body, world.at)


def test_the_webhooks_id_is_the_events(world: World, message: Notice, make_task: MakeTask, start: datetime) -> None:
    running = changed(make_task(), tasks.claim(start, timedelta(minutes=1)))
    done = changed(running, tasks.succeed(start, 1, images=(), output_url=None, timings=None))

    world.run(message)

    assert world.posts[0][2]["webhook-id"] == str(event_id(done))


def test_a_receiver_that_comes_back_gets_the_same_webhook_again_signed_anew(world: World, message: Notice) -> None:
    world.replies = [DOWN, Reply(fault=Fault.CONNECTION_FAILED), OK]

    delivery = world.run(message)

    first, _, last = world.posts
    assert first[1] == last[1]
    assert first[2]["webhook-id"] == last[2]["webhook-id"]
    assert int(last[2]["webhook-timestamp"]) - int(first[2]["webhook-timestamp"]) == 35
    assert delivery.state is DeliveryState.DELIVERED
    assert [(one.status, one.error) for one in delivery.tries] == [
        (503, None),
        (None, "connection_failed"),
        (204, None),
    ]
    assert [one.next_at is None for one in delivery.tries] == [False, False, True]
    assert not world.events
    assert not world.buried


def test_a_receiver_that_stays_away_is_given_up_after_a_day_and_everyone_is_told(
    world: World, message: Notice, start: datetime
) -> None:
    world.replies = [DOWN]

    delivery = world.run(message)

    assert delivery.state is DeliveryState.FAILED
    assert len(world.posts) == delivery.made == 11
    assert timedelta(hours=23) < world.at - start < timedelta(hours=24)
    (event,) = world.events
    assert isinstance(event, WebhookFailed)
    assert (event.tries, event.status, event.webhook_id) == (11, 503, message.webhook_id)
    assert [kept.webhook_id for kept in world.buried] == [message.webhook_id]


def test_a_dead_letter_that_is_sent_again_is_tried_once_more(world: World, message: Notice) -> None:
    world.replies = [DOWN]
    world.run(message)
    for _ in range(2):
        world.run(world.buried[-1])
    world.replies = [OK]

    delivery = world.run(world.buried[-1])

    assert (delivery.state, delivery.made) == (DeliveryState.DELIVERED, 14)
    assert len({event.event_id for event in world.events if isinstance(event, WebhookFailed)}) == 3


@pytest.mark.parametrize(
    "reply", [Reply(status=410), Reply(fault=Fault.FORBIDDEN_ADDRESS)], ids=["gone", "forbidden address"]
)
def test_some_answers_end_a_delivery_at_once(world: World, message: Notice, reply: Reply) -> None:
    world.replies = [reply]

    delivery = world.run(message)

    assert (delivery.state, delivery.made) == (DeliveryState.FAILED, 1)
    assert len(world.events) == 1
    assert world.buried == []


@pytest.mark.parametrize("status", [100, 199, 301, 302, 307, 308, 400, 401, 404, 429, 500])
def test_only_a_status_from_200_to_299_is_success(world: World, message: Notice, status: int) -> None:
    world.replies = [Reply(status=status), OK]

    assert world.run(message).made == 2


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        pytest.param(60, 60, id="longer than the schedule's"),
        pytest.param(1, 5, id="shorter than the schedule's"),
        pytest.param(10**9, 3600, id="longer than is honoured"),
    ],
)
def test_retry_after_is_honoured_within_bounds(world: World, message: Notice, asked: float, waited: float) -> None:
    world.replies = [Reply(status=429, retry_after=asked)]

    world.courier.deliver(message)

    assert [wait for _, wait in world.notices] == [pytest.approx(waited, abs=0.1)]


def test_progress_is_tried_twice_and_then_forgotten(world: World, message: Notice) -> None:
    world.replies = [DOWN]

    delivery = world.run(message.model_copy(update={"type": "task.progress"}))

    assert (delivery.state, delivery.made) == (DeliveryState.FAILED, 2)
    assert not world.events
    assert not world.buried


def test_a_message_that_comes_before_its_time_is_sent_on(world: World, message: Notice, start: datetime) -> None:
    early = message.again(start + timedelta(hours=2))

    assert world.courier.deliver(early) is None
    assert world.posts == []
    assert world.notices == [(early, 7200.0)]


def test_a_message_that_comes_twice_is_delivered_once(world: World, message: Notice) -> None:
    world.run(message)

    assert world.courier.deliver(message) is None
    assert len(world.posts) == 1


@pytest.mark.parametrize("fatal", [1, 2, 3])
@pytest.mark.parametrize("step", ["send", "record"])
def test_a_process_that_dies_after_a_try_loses_nothing(
    world: World, message: Notice, monkeypatch: pytest.MonkeyPatch, step: str, fatal: int
) -> None:
    calls: list[object] = []
    part = world if step == "send" else world.log
    goes_on: Callable[..., None] = getattr(part, step)

    def dies_once(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == fatal:
            raise KeyboardInterrupt
        goes_on(*arguments)

    monkeypatch.setattr(part, step, dies_once)
    world.replies = [DOWN] * 5 + [OK]

    delivery = world.run(message)

    assert len(calls) > fatal
    assert delivery.state is DeliveryState.DELIVERED
    assert len(world.posts) == 6
    assert len({headers["webhook-id"] for _, _, headers in world.posts}) == 1


def test_a_secret_that_does_not_exist_yet_is_waited_for(world: World, message: Notice) -> None:
    named = message.model_copy(update={"secret_ref": "other"})

    world.courier.deliver(named)
    world.keys.rotate("key1", "other")
    ((again, _),) = world.notices
    world.notices.clear()
    world.at += timedelta(seconds=5)
    delivery = world.run(again)

    assert [(one.status, one.error) for one in delivery.tries] == [(None, "unknown_secret"), (204, None)]
    ((_, body, headers),) = world.posts
    verify(world.keys.get("key1", "other").current, headers, body, world.at)


def test_the_schedules_delays_grow_and_are_jittered_within_bounds() -> None:
    assert list(A_DAY.delays) == sorted(A_DAY.delays)
    assert 23 * 3600 < sum(A_DAY.delays) < 24 * 3600
    assert A_MOMENT.delay(2, None, lambda: 0.5) is None
    schedule = Schedule(delays=(100,), jitter=0.1)
    waits = [schedule.delay(1, None, lambda chance=chance: chance) for chance in (0.0, 0.5, 1.0)]  # type: ignore[misc]
    assert waits == [pytest.approx(90), pytest.approx(100), pytest.approx(110)]


def test_the_log_does_not_grow_without_bounds(world: World, message: Notice) -> None:
    delivery = Delivery.of(message)
    for _ in range(100):
        delivery = delivery.after(DOWN, world.at, 0.1, 1)

    assert (len(delivery.tries), delivery.made) == (20, 100)


def test_the_log_says_of_each_try_when_it_was_what_came_of_it_and_when_the_next_is(
    message: Notice, start: datetime
) -> None:
    (one,) = Delivery.of(message).after(DOWN, start, 0.1234, 5).tries

    assert one.model_dump(mode="json") == {
        "at": "2026-01-31T12:00:00.000Z",
        "duration": 0.123,
        "status": 503,
        "error": None,
        "next_at": "2026-01-31T12:00:05.123Z",
    }
