"""JSON Schemas for editors and for Helm, from the models: `python -m darkroom_cli.deploy.schemas` writes them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from darkroom_cli.deploy.config import Config
from darkroom_cli.deploy.value_types import Values
from darkroom_cli.deploy.values import ChartValues

FILES: Mapping[str, type[Values]] = {
    "config.schema.json": Config,
    "charts/darkroom-runtime/values.schema.json": ChartValues,
}
"""The files, by their place in the repository."""


def schema(model: type[Values]) -> str:
    """A model's JSON Schema, as a file has it."""
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
    return json.dumps(_tidy(document), indent=2, ensure_ascii=False) + "\n"


def _tidy(node: Any) -> Any:  # noqa: ANN401  JSON
    """Without titles, which repeat names, and without "or null": a key that is not given is left out."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _tidy(value) for key, value in node.items() if not (key == "title" and isinstance(value, str))}
    if kept.get("default", ...) is None:
        del kept["default"]
    choices = [choice for choice in kept.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        del kept["anyOf"]
        kept = choices[0] | kept
    elif choices:
        kept["anyOf"] = choices
    return kept


def main() -> None:
    """Write all schemas, in the repository where this is run."""
    for name, model in FILES.items():
        Path(name).write_text(schema(model), "utf-8")


if __name__ == "__main__":
    main()
