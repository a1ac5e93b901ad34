"""YAML files: read without surprises, written as a person would."""

from pathlib import Path
from typing import Any

import yaml

from darkroom_cli.deploy.config import Config
from darkroom_cli.deploy.faults import ConfigError, check_config


class _Loader(yaml.SafeLoader):
    """A loader that refuses a key that stands twice; YAML would keep the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002  PyYAML's own signature
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands here twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def read_config(path: Path) -> Config:
    """Read a config.yaml.

    Raises:
        ConfigError: it is not there, is no YAML, or something in it is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([f"{path} cannot be read: {error.strerror}"]) from error
    return check_config(parse_yaml(text, str(path)))


def parse_yaml(text: str, name: str) -> object:
    """Read YAML.

    Raises:
        ConfigError: it is none; the message says where.
    """
    try:
        data: object = yaml.load(text, _Loader)  # noqa: S506  a SafeLoader that is stricter
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{name}, line {mark.line + 1}, column {mark.column + 1}" if mark else name
        raise ConfigError([f"{where}: {error.problem}"]) from error
    return data


def write_yaml(data: object) -> str:
    """A document as YAML, in the order given."""
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)
