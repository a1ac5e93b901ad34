"""Whether the parameters that a configuration passes on are the templates' own. SAM drops others without a word."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from darkroom_cli.deploy.config import Config
from darkroom_cli.deploy.faults import ConfigError

_SECTION = re.compile(r"^Parameters:\n((?:(?: .*)?\n)+)", re.MULTILINE)
_NAME = re.compile(r"^  (\w+):", re.MULTILINE)


def check_parameters(config: Config, source: Path) -> None:
    """Hold the section `parameters` against the templates in `source`.

    Raises:
        ConfigError: a template has no such parameter; all faults are named.
    """
    faults = list(_faults(config, source))
    if faults:
        raise ConfigError(faults)


def _faults(config: Config, source: Path) -> Iterator[str]:
    given = config.parameters
    for section, template, values in (
        ("cluster", "cluster", given.cluster),
        ("controlPlane", "template", given.control_plane),
        ("operations", "operations", given.operations),
        ("runtime", "runtime", given.runtime),
    ):
        file = Path("sam") / f"{template}.yaml"
        known = parameter_names(source / file) if values else []
        for name in (name for name in values if name not in known):
            close = get_close_matches(name, known, n=1)
            meant = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"
            yield f"parameters.{section}.{name}: {file} has no such parameter{meant}"


def parameter_names(template: Path) -> list[str]:
    """The names of a template's parameters. To parse all of it would take a second."""
    section = _SECTION.search(template.read_text("utf-8"))
    return _NAME.findall(section[1]) if section else []
