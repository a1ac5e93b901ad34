"""What docs/events.md and docs/webhooks.md say is so: their examples, their recipes, their receiver."""

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any, get_args

import pytest
from samtranslator.yaml_helper import yaml_parse
from tests.contract.test_messages import DETAILS, example
from tests.templates import lint

from darkroom.deliveries import A_DAY, DeliveryList, Fault
from darkroom.models import now
from darkroom.net.posts import HttpPoster
from darkroom.signatures import new_secret, signature_headers
from darkroom.webhooks import WebhookEvent
from darkroom_local.events.patterns import Filters

DOCS = Path(__file__).parents[2] / "docs"
EVENTS, WEBHOOKS = (DOCS / "events.md").read_text(), (DOCS / "webhooks.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return found


@pytest.mark.parametrize("name", DETAILS)
def test_every_event_is_documented_with_its_example(name: str) -> None:
    section = EVENTS.partition(f"### {name}\n")[2].partition("\n### ")[0]

    assert json.loads(blocks(section, "json")[0]) == example(name)["detail"]


def test_the_callback_message_is_documented_with_its_example() -> None:
    assert json.loads(blocks(EVENTS, "json")[0]) == example("callback-succeeded")


@pytest.mark.parametrize("link", re.findall(r"\]\((\.\./[^)#]+)", EVENTS + WEBHOOKS))
def test_a_link_to_a_file_leads_to_one(link: str) -> None:
    assert (DOCS / link).exists()


RECIPES = {"lambda": 0, "sqs": 1, "stepfunctions": 2}
HEARS = {
    "lambda": {"TaskSucceeded"},
    "sqs": {"TaskFailed", "TaskExpired"},
    "stepfunctions": {"TaskSucceeded", "TaskFailed", "TaskCancelled", "TaskExpired"},
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_a_template_without_faults(name: str) -> None:
    assert lint(blocks(EVENTS, "yaml")[RECIPES[name]]) == []


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipes_rule_hears_what_it_says(name: str) -> None:
    recipe = yaml_parse(blocks(EVENTS, "yaml")[RECIPES[name]])
    filters = Filters(patterns(recipe["Resources"]))

    assert {event for event in DETAILS if filters.accept(example(event))} == HEARS[name]


def patterns(part: Any) -> Iterator[dict[str, Any]]:
    """The event patterns anywhere in a template."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key in {"Pattern", "EventPattern"}:
                yield value
            else:
                yield from patterns(value)


def test_all_webhook_events_and_faults_are_documented() -> None:
    events: tuple[str, ...] = get_args(WebhookEvent)

    assert [name for name in (*events, *Fault) if f"`{name}`" not in WEBHOOKS] == []


def test_the_schedule_is_documented_as_it_is() -> None:
    units = {"s": 1, "min": 60, "h": 3600}
    (row,) = re.findall(r"^\| the next one comes in \|(.*)\|$", WEBHOOKS, re.MULTILINE)

    delays = [int(number) * units[unit] for number, unit in (cell.split() for cell in row.split("|"))]

    assert tuple(delays) == A_DAY.delays


def test_the_delivery_log_is_documented_in_its_form() -> None:
    shown = json.loads(blocks(WEBHOOKS, "json")[0])

    assert DeliveryList.model_validate(shown).model_dump(mode="json") == shown


@pytest.fixture(scope="module")
def secret() -> str:
    return new_secret()


@pytest.fixture(scope="module")
def documented_receiver(tmp_path_factory: pytest.TempPathFactory, secret: str) -> Iterator[str]:
    """The receiver of the documentation, running; gives its address."""
    script = tmp_path_factory.mktemp("docs") / "receiver.py"
    script.write_text(blocks(WEBHOOKS, "python")[0])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, str(script), secret, str(port)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as running:  # noqa: S603  our own script
        try:
            wait_for(port)
            yield f"http://127.0.0.1:{port}/"
        finally:
            running.terminate()


def wait_for(port: int) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


@pytest.mark.parametrize(
    ("signed", "sent", "age", "status"),
    [
        pytest.param(b"{}", b"{}", timedelta(), 204, id="genuine"),
        pytest.param(b"{}", b"{ }", timedelta(), 400, id="changed"),
        pytest.param(b"{}", b"{}", timedelta(hours=1), 400, id="replayed"),
    ],
)
def test_the_documented_receiver_takes_what_is_genuine_and_nothing_else(
    documented_receiver: str, secret: str, signed: bytes, sent: bytes, age: timedelta, status: int
) -> None:
    headers = signature_headers([new_secret(), secret], "id", now() - age, signed)

    reply = HttpPoster((ip_network("127.0.0.0/8"),)).post(documented_receiver, sent, headers)

    assert reply.status == status
