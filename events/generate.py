"""Writes events/schemas from the models. `make schemas` runs it; a test holds the files equal."""

import json
from pathlib import Path

from pydantic import BaseModel

from darkroom.callbacks import Callback
from darkroom.events import TaskEvent
from darkroom.messages import TaskMessage, TaskResult

MODELS: dict[str, type[BaseModel]] = {
    "callback.v1": Callback,
    "task-event.v1": TaskEvent,
    "task-message.v1": TaskMessage,
    "task-result.v1": TaskResult,
}
SCHEMAS = Path(__file__).parent / "schemas"


def schema(name: str) -> str:
    """The JSON Schema (2020-12) of one message, as its file holds it."""
    body = MODELS[name].model_json_schema(mode="serialization", ref_template="#/$defs/{model}")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:darkroom:schema:{name}"}
    return json.dumps(head | body, indent=2) + "\n"


if __name__ == "__main__":
    for model in MODELS:
        (SCHEMAS / f"{model}.json").write_text(schema(model))
