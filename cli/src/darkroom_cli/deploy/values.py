"""What `extraValues` may hold: the values of charts/darkroom-runtime, by the guide's names.

All are optional: what is not given is the chart's own default. The descriptions become the editors' help, the
chart's values.schema.json and docs/configuration.md.
"""

from pydantic import Field

from darkroom.runtimes import TypeName
from darkroom_cli.deploy.node_values import Karpenter
from darkroom_cli.deploy.pod_values import RuntimeValues
from darkroom_cli.deploy.value_types import Values


class ExtraValues(Values):
    """Values of the chart."""

    karpenter: Karpenter | None = None
    """The runtime's nodes."""
    runtime: RuntimeValues | None = None
    """The runtime's pods."""


class GlobalValues(Values):
    """What all parts of the chart know. `darkroom deploy` fills it in."""

    aws_region: str | None = None
    """The region."""
    stack_name: str | None = None
    """The control plane's stack."""
    cluster_name: str | None = None
    """The cluster, where it is not named like the stack."""


class ChartRuntime(RuntimeValues):
    """The runtime's pods, and its kind."""

    type: TypeName | None = None
    """The runtime's kind."""


class ChartValues(Values):
    """All values of charts/darkroom-runtime."""

    global_: GlobalValues | None = Field(None, alias="global")
    """What all parts know."""
    karpenter: Karpenter | None = None
    """The runtime's nodes."""
    runtime: ChartRuntime | None = None
    """The runtime's pods."""
