"""config.example.yaml and the tables of docs/configuration.md, from the models and the chart's own values.

`python -m darkroom_cli.deploy.documentation` writes them, in the repository where it is run.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from darkroom_cli.deploy.config import Config, CustomRuntime, Runtime
from darkroom_cli.deploy.documents import parse_yaml
from darkroom_cli.deploy.values import ExtraValues

EXAMPLE = Path("config.example.yaml")
PAGE = Path("docs/configuration.md")
VALUES = Path("charts/darkroom-runtime/values.yaml")

_SHOWN = {
    "modelBucketArn": "arn:aws:s3:::my-models",
    "name": "sdruntime",
    "type": "sdwebui",
    "modelFilename": "v1-5-pruned-emaonly.safetensors",
    "taskTypes": ["text-to-image", "image-to-image"],
    "owners": ["abcdefghij"],
    "outputPrefix": "team-a",
    "snapshotID": "snap-0123456789",
    "volumeInitializationRate": 300,
    "extraEnv": {},
    "chartRepository": "oci://123456789012.dkr.ecr.us-east-1.amazonaws.com/charts/darkroom-runtime",
    "chartVersion": "1.2.0",
}
"""What the example says where there is no default, or a better word than it."""

_LIVE = {
    "stackName",
    "modelBucketArn",
    "stageName",
    "rateLimit",
    "burstLimit",
    "name",
    "namespace",
    "type",
    "modelFilename",
    "dynamicModel",
}
"""The keys that the example gives; it shows the others as comments."""

_HEAD = """\
# Every key of config.yaml, with its default. What stands in a comment is what holds without it.
# `darkroom config validate` checks a file; docs/configuration.md has the same as tables.
# yaml-language-server: $schema=config.schema.json

"""


@dataclass(frozen=True)
class Key:
    """One key: its place, what it means, its default. `inner` holds the keys of a section."""

    path: str
    help: str
    default: Any = None
    required: bool = False
    inner: tuple["Key", ...] = ()

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]


def keys(model: type[BaseModel], defaults: Mapping[str, Any], prefix: str = "") -> Iterator[Key]:
    """The keys of a model. `defaults` are the chart's, by the same names; a model's own go before them."""
    for name, field in model.model_fields.items():
        key = field.alias or name
        inner = _section(field.annotation)
        below = defaults.get(key) if isinstance(defaults.get(key), Mapping) else {}
        own = field.get_default(call_default_factory=True) if not field.is_required() else PydanticUndefined
        default = defaults.get(key) if own in (None, PydanticUndefined) or inner else own
        yield Key(
            prefix + key,
            field.description or "",
            None if inner else default,
            field.is_required(),
            tuple(keys(inner, below or {}, f"{prefix}{key}.")) if inner else (),
        )


def example(root: Path = Path()) -> str:
    """config.example.yaml."""
    chart = _chart_defaults(root)
    lines = list(_lines([key for key in keys(Config, {}) if key.name not in {"modelsRuntime", "parameters"}], ""))
    runtime = [key for key in keys(Runtime, {}) if key.name != "extraValues"]
    own = [key for key in keys(CustomRuntime, {}) if key.name in {"chartRepository", "chartName"}]
    extra = [Key("extraValues", ExtraValues.__doc__ or "", inner=tuple(keys(ExtraValues, chart)))]
    runtime = [key for key in runtime if key.name not in {"chartRepository", "chartVersion"}]
    version = [key for key in keys(Runtime, {}) if key.name == "chartVersion"]
    body = list(_lines([*runtime, *own, *version, *extra], "  "))
    lines += ["modelsRuntime: # The runtimes, each with these keys.", "- " + body[0].lstrip(), *body[1:]]
    lines += _lines([key for key in keys(Config, {}) if key.name == "parameters"], "")
    return _HEAD + "\n".join(lines) + "\n"


def table(some: Iterator[Key] | tuple[Key, ...]) -> str:
    """Keys as a table in Markdown."""
    rows = [f"| `{key.path}` | {key.help} | {_default(key)} |" for key in _leaves(some)]
    return "\n".join(["| key | what it says | default |", "| --- | --- | --- |", *rows])


def tables(root: Path = Path()) -> dict[str, str]:
    """The tables of docs/configuration.md, by the marks that they stand between."""
    top = tuple(key for key in keys(Config, {}) if key.name != "modelsRuntime")
    runtime = tuple(key for key in keys(CustomRuntime, {}, "modelsRuntime.") if key.name != "extraValues")
    return {
        "config": table(top),
        "runtime": table(runtime),
        "values": table(tuple(keys(ExtraValues, _chart_defaults(root)))),
    }


def fill(page: str, root: Path = Path()) -> str:
    """The page with its tables up to date."""
    for name, text in tables(root).items():
        before, mark, rest = page.partition(f"<!-- {name} -->\n")
        page = before + mark + text + "\n" + rest[rest.index(f"<!-- /{name} -->") :]
    return page


def main() -> None:
    """Write both files."""
    EXAMPLE.write_text(example(), "utf-8")
    PAGE.write_text(fill(PAGE.read_text("utf-8")), "utf-8")


def _chart_defaults(root: Path) -> dict[str, Any]:
    defaults = parse_yaml((root / VALUES).read_text("utf-8"), str(VALUES))
    return dict(defaults) if isinstance(defaults, Mapping) else {}


def _section(annotation: object) -> type[BaseModel] | None:
    """The model of a section; None for a value, or a list of models."""
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, BaseModel) else None
    found = [inner for inner in get_args(annotation) if isinstance(inner, type) and issubclass(inner, BaseModel)]
    return found[0] if found and not str(annotation).startswith("list") else None


def _lines(some: list[Key] | tuple[Key, ...], indent: str) -> Iterator[str]:
    """Keys as YAML. What is a comment becomes YAML where its `# ` is taken away."""
    for key in some:
        live = _is_live(key)
        lines = _section_lines(key) if key.inner and not live else [_line(key)]
        yield from (f"{indent}{'' if live else '# '}{line}" for line in lines)
        if key.inner and live:
            yield from _lines(key.inner, indent + "  ")


def _section_lines(key: Key) -> Iterator[str]:
    """A section, all of it."""
    yield _line(key)
    for inner in key.inner:
        yield from ("  " + line for line in (_section_lines(inner) if inner.inner else [_line(inner)]))


def _line(key: Key) -> str:
    if key.inner:
        return f"{key.name}: # {key.help}"
    shown = _SHOWN.get(key.name, key.default)
    value = json.dumps("" if shown is None else shown, ensure_ascii=False)
    plain = isinstance(shown, str) and re.fullmatch(r"[A-Za-z][\w./:@-]*", shown)
    return f"{key.name}: {shown if plain else value} # {key.help}"


def _is_live(key: Key) -> bool:
    if key.inner:
        return any(map(_is_live, key.inner))
    return key.name in _LIVE and not key.path.startswith(("karpenter", "runtime"))


def _leaves(some: Iterator[Key] | tuple[Key, ...]) -> Iterator[Key]:
    for key in some:
        if key.inner:
            yield from _leaves(iter(key.inner))
        else:
            yield key


def _default(key: Key) -> str:
    if key.required:
        return "must be given"
    return "" if key.default in (None, "", [], {}) else f"`{json.dumps(key.default, ensure_ascii=False)}`"


if __name__ == "__main__":
    main()
