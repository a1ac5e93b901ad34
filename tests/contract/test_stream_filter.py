"""What of the tasks table's stream wakes the router: the template's filter, on items as they are written."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from tests.templates import template

from darkroom import tasks
from darkroom.aws.task_items import to_item
from darkroom.tasks import Task, changed
from darkroom.webhooks import Webhook
from darkroom_local.events.patterns import Filters

LEASE = timedelta(seconds=60)


@pytest.fixture(scope="module")
def router() -> Filters:
    source = template("template")["Resources"]["RouterFunction"]["Properties"]["Events"]["TaskChanged"]
    declared = source["Properties"]["FilterCriteria"]["Filters"]
    return Filters([json.loads(one["Pattern"]) for one in declared])


def wakes(router: Filters, old: Task | None, new: Task) -> bool:
    images = {"NewImage": to_item(new)} | ({"OldImage": to_item(old)} if old is not None else {})
    return router.accept({"eventName": "MODIFY", "dynamodb": images})


@pytest.mark.parametrize(
    ("webhook", "heard"),
    [
        pytest.param(None, False, id="without a webhook"),
        pytest.param(Webhook(url="https://example.com"), False, id="with one that hears of ends"),
        pytest.param(Webhook(url="https://example.com", events=("task.progress",)), True, id="with one that asks"),
    ],
)
def test_a_heartbeat_wakes_the_router_only_for_a_webhook_that_wants_progress(
    router: Filters, make_task: Callable[..., Task], start: datetime, webhook: Webhook | None, *, heard: bool
) -> None:
    queued = make_task(webhook=webhook)
    running = changed(queued, tasks.claim(start, LEASE))
    later = changed(running, tasks.extend(start, 1, LEASE, 0.5))

    assert wakes(router, running, later) is heard
    assert wakes(router, None, queued)
    assert wakes(router, queued, running)
    assert wakes(router, running, changed(running, tasks.cancel(start)))
