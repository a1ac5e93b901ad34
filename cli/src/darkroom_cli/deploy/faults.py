"""What is wrong with a configuration, in words: where, what, and what was probably meant."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from darkroom_cli.deploy.config import Config
from darkroom_cli.errors import ConfigurationError

_TAGS = ("own", "custom")


class ConfigError(ConfigurationError):
    """The configuration is wrong."""

    default_hint = "docs/configuration.md describes every key; config.example.yaml shows them."

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def check_config(data: object) -> Config:
    """Read a configuration.

    Raises:
        ConfigError: something is wrong; all faults are named.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(["config.yaml must be a mapping: stackName, modelBucketArn, modelsRuntime …"])
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError([_fault(fault) for fault in error.errors()]) from error


def _fault(fault: Any) -> str:  # noqa: ANN401  pydantic's ErrorDetails says no more than this
    location = tuple(part for part in fault["loc"] if part not in _TAGS)
    where = _path(location)
    match fault["type"]:
        case "extra_forbidden":
            return f"{where}: there is no such key{_meant(location)}"
        case "missing":
            return f"{where}: is missing"
        case "string_type":
            return f"{where}: must be text; put {fault['input']!r} in quotes"
        case "string_pattern_mismatch":
            return f"{where}: {fault['input']!r} is not of the form {fault['ctx']['pattern']}"
        case "literal_error":
            close = get_close_matches(str(fault["input"]), _literals(fault["ctx"]["expected"]), n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            return f"{where}: {fault['input']!r} is none of {fault['ctx']['expected']}{hint}"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _literals(expected: str) -> list[str]:
    return [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]


def _path(location: tuple[Any, ...]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path


def _meant(location: tuple[Any, ...]) -> str:
    known = sorted(set(_keys_beside(location)))
    wrong = str(location[-1])
    lowered = {key.lower(): key for key in known}
    close = get_close_matches(wrong.lower(), lowered, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {lowered[close[0]]}?"
    elsewhere = [path for path in _all_paths(Config) if path.rpartition(".")[2] == wrong]
    if elsewhere:
        return f"; did you mean {elsewhere[0]}?"
    return f"; there are {', '.join(known)}" if known else ""


def _keys_beside(location: tuple[Any, ...]) -> Iterator[str]:
    models: list[type[BaseModel]] = [Config]
    for part in location[:-1]:
        if isinstance(part, str):
            models = [inner for model in models for inner in _models_at(model, part)]
    for model in models:
        yield from (field.alias or name for name, field in model.model_fields.items())


def _models_at(model: type[BaseModel], key: str) -> list[type[BaseModel]]:
    return [
        inner
        for name, field in model.model_fields.items()
        if key in {name, field.alias}
        for inner in _models_in(field.annotation)
    ]


def _models_in(annotation: object) -> list[type[Any]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]


def _all_paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        yield path
        for inner in _models_in(field.annotation):
            yield from _all_paths(inner, f"{path}.")
