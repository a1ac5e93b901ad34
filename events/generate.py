"""Writes events/schemas from the models. `make schemas` runs it; a test holds the files equal."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from darkroom.batch_events import BatchEvent
from darkroom.callbacks import Callback
from darkroom.deliveries import WebhookFailed
from darkroom.documents import Document
from darkroom.events import TaskEvent
from darkroom.messages import TaskMessage, TaskResult
from darkroom.notices import Notice, WebhookPayload
from darkroom.pipeline_events import PipelineEvent, StepEvent
from darkroom.task_calls import TaskCall

MODELS: dict[str, type[BaseModel]] = {
    "batch-event.v1": BatchEvent,
    "callback.v1": Callback,
    "pipeline.v1": Document,
    "pipeline-event.v1": PipelineEvent,
    "run-task.v1": TaskCall,
    "step-event.v1": StepEvent,
    "task-event.v1": TaskEvent,
    "task-message.v1": TaskMessage,
    "task-result.v1": TaskResult,
    "webhook.v1": WebhookPayload,
    "webhook-failed-event.v1": WebhookFailed,
    "webhook-message.v1": Notice,
}
OPEN = frozenset(
    {
        "batch-event.v1",
        "callback.v1",
        "pipeline-event.v1",
        "step-event.v1",
        "task-event.v1",
        "webhook.v1",
        "webhook-failed-event.v1",
    }
)
"""What consumers of our users' read: fields may come to be within a version, so their schemas forbid none."""

SCHEMAS = Path(__file__).parent / "schemas"


def schema(name: str) -> str:
    """The JSON Schema (2020-12) of one message, as its file holds it."""
    body = MODELS[name].model_json_schema(mode="serialization", ref_template="#/$defs/{model}")
    if name in OPEN:
        body = _opened(body)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:darkroom:schema:{name}"}
    return json.dumps(head | body, indent=2) + "\n"


def _opened(part: Any) -> Any:  # noqa: ANN401  JSON
    """A schema that allows more than it names; the model itself goes on refusing what we misspell."""
    if isinstance(part, dict):
        return {
            key: _opened(value) for key, value in part.items() if (key, value) != ("additionalProperties", False)
        }
    return [_opened(item) for item in part] if isinstance(part, list) else part


if __name__ == "__main__":
    for model in MODELS:
        (SCHEMAS / f"{model}.json").write_text(schema(model))
