"""Every message and event has a schema and examples, and they agree with the code."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from events.generate import MODELS, OPEN, SCHEMAS, schema
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from darkroom.answers import summarize
from darkroom.batch_events import BatchEvent, BatchEventType
from darkroom.callbacks import Callback
from darkroom.deliveries import WebhookFailed
from darkroom.documents import Document
from darkroom.events import SOURCE, EventType, TaskEvent
from darkroom.messages import TaskMessage, TaskResult
from darkroom.notices import Notice, WebhookPayload
from darkroom.pipeline_events import PipelineEvent, PipelineEventType, StepEvent
from darkroom.task_calls import TaskCall
from darkroom.tasks import Task

EXAMPLES = Path(__file__).parents[2] / "events" / "examples"

DETAILS: dict[str, tuple[str, type[BaseModel]]] = {
    **dict.fromkeys(EventType, ("task-event.v1", TaskEvent)),
    "WebhookFailed": ("webhook-failed-event.v1", WebhookFailed),
    **{
        name: ("step-event.v1", StepEvent) if name.startswith("Step") else ("pipeline-event.v1", PipelineEvent)
        for name in PipelineEventType
    },
    **dict.fromkeys(BatchEventType, ("batch-event.v1", BatchEvent)),
}
"""The schema and the model of each event on the bus, by its `detail-type`."""

KINDS: dict[str, tuple[str, type[BaseModel]]] = {
    "callback-succeeded": ("callback.v1", Callback),
    "callback-failed": ("callback.v1", Callback),
    "task-message": ("task-message.v1", TaskMessage),
    "run-task": ("run-task.v1", TaskCall),
    "pipeline": ("pipeline.v1", Document),
    "task-result-succeeded": ("task-result.v1", TaskResult),
    "task-result-failed": ("task-result.v1", TaskResult),
    "webhook-task.succeeded": ("webhook.v1", WebhookPayload),
    "webhook-task.progress": ("webhook.v1", WebhookPayload),
    "webhook-message": ("webhook-message.v1", Notice),
    **DETAILS,
}


def example(name: str) -> Any:
    return json.loads((EXAMPLES / f"{name}.json").read_text())


def payload(name: str) -> Any:
    """What the schema speaks of: an event's detail, or the message itself."""
    whole = example(name)
    return whole["detail"] if name in DETAILS else whole


@pytest.mark.parametrize("name", MODELS)
def test_a_committed_schema_is_what_the_model_says(name: str) -> None:
    assert (SCHEMAS / f"{name}.json").read_text() == schema(name), "run `make schemas`"


def test_every_example_is_known_and_every_kind_has_one() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.json")} == set(KINDS)
    assert {path.stem for path in SCHEMAS.glob("*.json")} == set(MODELS)


@pytest.mark.parametrize("name", KINDS)
def test_an_example_fits_its_schema_and_is_read_and_written_unchanged(name: str) -> None:
    kind, model = KINDS[name]
    Draft202012Validator(json.loads((SCHEMAS / f"{kind}.json").read_text())).validate(payload(name))

    assert json.loads(model.model_validate(payload(name)).to_json()) == payload(name)  # type: ignore[attr-defined]


@pytest.mark.parametrize("event", DETAILS)
def test_an_events_envelope_names_its_source_and_type(event: str) -> None:
    whole = example(event)

    assert (whole["source"], whole["detail-type"]) == (SOURCE, event)
    assert DETAILS[event][1].model_validate(whole["detail"]).detail_type == event  # type: ignore[attr-defined]


def test_a_field_that_a_later_release_adds_fits_the_schemas_of_what_users_read() -> None:
    for name, (kind, _) in KINDS.items():
        if kind in OPEN:
            Draft202012Validator(json.loads(schema(kind))).validate(payload(name) | {"news": {"of": "tomorrow"}})


@pytest.mark.parametrize("kind", ["task-message.v1", "task-event.v1", "callback.v1", "webhook.v1"])
def test_what_the_code_makes_fits_the_schema(kind: str, make_task: Callable[..., Task]) -> None:
    task = make_task(context=None)
    made = {
        "task-message.v1": TaskMessage.of(task),
        "task-event.v1": TaskEvent.of(task),
        "callback.v1": Callback.of(task),
        "webhook.v1": WebhookPayload(type="task.started", timestamp=task.created_at, data=summarize(task)),
    }

    Draft202012Validator(json.loads(schema(kind))).validate(json.loads(made[kind].to_json()))
