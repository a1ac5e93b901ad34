"""What runs in the cluster beside the runtimes: charts/components.yaml."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from darkroom_cli.deploy.commands import variable
from darkroom_cli.deploy.documents import parse_yaml
from darkroom_cli.deploy.value_types import Namespace, Values


class Component(Values):
    """A Helm release of somebody else's chart, at a version that was checked with the cluster's."""

    name: str
    """The release."""
    namespace: Namespace
    """Where it runs."""
    chart: str
    """The chart: a name in the repository, or an OCI address."""
    repository: str = ""
    """The HTTP repository; empty for an OCI address."""
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    """The chart's version, pinned."""
    values: str = ""
    """A file of values, beside components.yaml."""
    settings: dict[str, str] = Field(default_factory=dict)
    """Values that only the deployment knows."""
    crds: bool = True
    """Whether the chart may bring its definitions."""

    def set_values(self) -> list[tuple[str, str]]:
        """The settings, with the places of the cluster's outputs for their names."""
        return [
            (key, re.sub(r"\$\{(\w+)\}", lambda it: variable(it[1]), text)) for key, text in self.settings.items()
        ]


def read_components(charts: Path) -> list[Component]:
    """The components, in the order of their installation."""
    path = charts / "components.yaml"
    return TypeAdapter(list[Component]).validate_python(parse_yaml(path.read_text("utf-8"), str(path)))
