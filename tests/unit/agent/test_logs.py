"""What a log line holds."""

import asyncio
import json
import logging

import pytest

from darkroom_agent.logs import EventLog, JsonFormatter, TextFormatter, bound

log = EventLog("darkroom_agent.test")


@pytest.fixture(autouse=True)
def _level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "darkroom_agent.test")


def test_an_event_is_one_json_object_with_its_values_and_what_is_bound(caplog: pytest.LogCaptureFixture) -> None:
    with bound(task="key/id"):
        log.info("task_claimed", attempt=2)
    line = json.loads(JsonFormatter().format(caplog.records[0]))
    assert "time" in line
    assert {"level": "info", "event": "task_claimed", "task": "key/id", "attempt": 2}.items() <= line.items()


async def test_what_is_bound_holds_in_tasks_started_inside_and_nowhere_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work() -> None:
        log.info("inside")

    with bound(task="key/id"):
        started = asyncio.create_task(work(), name="work")
    await started
    log.info("outside")
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    assert ["key/id", None] == [line.get("task") for line in lines]


def test_a_traceback_is_part_of_its_event(caplog: pytest.LogCaptureFixture) -> None:
    try:
        log.info(str(1 // 0))
    except ZeroDivisionError:
        log.exception("agent_fault")
    assert "ZeroDivisionError" in json.loads(JsonFormatter().format(caplog.records[0]))["traceback"]
    assert "ZeroDivisionError" in TextFormatter().format(caplog.records[0])


def test_text_is_one_readable_line(caplog: pytest.LogCaptureFixture) -> None:
    log.warning("heartbeat_failed", error="no answer")
    assert TextFormatter().format(caplog.records[0]).endswith("WARNING heartbeat_failed         error=no answer")
