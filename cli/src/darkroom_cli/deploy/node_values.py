"""The values of a runtime's nodes: what Karpenter is told."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from darkroom_cli.deploy.value_types import Amounts, CapacityReason, Duration, Values, VolumeSize


class CapacityType(Values):
    """How instances are bought."""

    on_demand: bool | None = None
    """Buy on demand, where spot is off or has none."""
    spot: bool | None = None
    """Buy on the spot market; it comes first."""


class Budget(Values):
    """How many nodes Karpenter may take away at once."""

    nodes: Annotated[str, Field(pattern=r"^((100|[0-9]{1,2})%|[0-9]+)$")]
    """A number or a share of the nodes."""
    reasons: list[CapacityReason] | None = None
    """The reasons that it holds for."""
    schedule: str | None = None
    """When it holds (cron)."""
    duration: Duration | None = None
    """How long it holds, from each time of the schedule."""


class Disruption(Values):
    """When Karpenter takes nodes away."""

    consolidate_after: Duration | None = None
    """How long a node must have been quiet."""
    expire_after: Duration | None = None
    """How old a node may become."""
    termination_grace_period: Annotated[str, Field(pattern=r"^([0-9]+(s|m|h))+$")] | None = None
    """How long a pod may hold up the replacement of an outdated node."""
    budgets: list[Budget] | None = None
    """How many at once."""


class Provisioner(Values):
    """Which instances Karpenter starts (a NodePool)."""

    labels: dict[str, str] | None = None
    """Labels of the nodes."""
    annotations: dict[str, str] | None = None
    """Annotations of the nodes."""
    capacity_type: CapacityType | None = None
    """How instances are bought."""
    instance_type: list[str] | None = None
    """Instance types to choose from. Several give spot a choice; they must exist in the region."""
    extra_requirements: list[dict[str, JsonValue]] | None = None
    """Further requirements, as a NodePool writes them."""
    extra_taints: list[dict[str, str]] | None = None
    """Further taints, beside `nvidia.com/gpu` and `runtime`. The pods tolerate them."""
    resource_limits: Amounts | None = None
    """What all nodes together may have; beyond it none is started."""
    consolidation: bool | None = None
    """Replace nodes by fewer or cheaper ones; off, only empty ones go."""
    disruption: Disruption | None = None
    """When nodes are taken away."""


class Volume(Values):
    """An EBS volume of a node."""

    volume_size: VolumeSize | None = None
    """Its size, as in `80Gi`."""
    volume_type: Literal["gp2", "gp3", "io1", "io2"] | None = None
    """Its type."""
    delete_on_termination: bool | None = None
    """Delete it with its instance."""
    encrypted: bool | None = None
    """Encrypt it."""
    iops: Annotated[int, Field(ge=3000, le=16000)] | None = None
    """Operations a second."""
    throughput: Annotated[int, Field(ge=125, le=1000)] | None = None
    """MiB a second."""


class DataVolume(Volume):
    """The volume that holds container images."""

    snapshot_id: Annotated[str, Field(pattern=r"^(snap-[0-9a-z]+)?$")] | None = Field(None, alias="snapshotID")
    """A snapshot that has the images already: see `darkroom image-cache build`."""
    volume_initialization_rate: Annotated[int, Field(ge=100, le=300)] | None = None
    """MiB a second at which EBS reads the snapshot ahead. It costs extra."""


class NodeTemplate(Values):
    """What those instances are (an EC2NodeClass)."""

    iam_role: str | None = None
    """The nodes' role. `darkroom deploy` fills it in."""
    security_group_selector: dict[str, str] | None = None
    """Tags of the security groups; else the cluster's own."""
    security_group_ids: list[str] | None = None
    """The security groups themselves."""
    subnet_selector: dict[str, str] | None = None
    """Tags of the subnets; else `karpenter.sh/discovery` with the cluster's name."""
    subnet_ids: list[str] | None = None
    """The subnets themselves."""
    tags: dict[str, str] | None = None
    """Tags of the instances."""
    ami_family: Literal["Bottlerocket", "AL2023"] | None = None
    """The operating system."""
    ami_alias: Annotated[str, Field(pattern=r"^(bottlerocket|al2023)@.+$", max_length=30)] | None = None
    """Its image, with the version: `bottlerocket@v1.64.0`."""
    os_volume: Volume | None = None
    """/dev/xvda."""
    data_volume: DataVolume | None = None
    """/dev/xvdb, where Bottlerocket keeps container images."""
    user_data: str | None = None
    """The instances' user data (Bottlerocket: TOML)."""


class Karpenter(Values):
    """The runtime's nodes."""

    enabled: bool | None = None
    """Make a NodePool for the runtime; off, its pods run on nodes that are there."""
    provisioner: Provisioner | None = None
    """Which instances."""
    node_template: NodeTemplate | None = None
    """What they are."""
