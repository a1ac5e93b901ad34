"""The values of a runtime's pods."""

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from darkroom_cli.deploy.value_types import (
    AccessMode,
    Amounts,
    Environment,
    FallbackBehavior,
    PullPolicy,
    Some,
    Values,
    VolumeSize,
    Whole,
)


class Image(Values):
    """A container image."""

    repository: str | None = None
    """Where it is, without the tag."""
    tag: str | None = None
    """Its tag, or its digest (`sha256:…`)."""


class Resources(Values):
    """What a container gets."""

    limits: Amounts | None = None
    """At most."""
    requests: Amounts | None = None
    """At least."""


class Container(Values):
    """What both containers of a pod can be told."""

    image: Image | None = None
    """The container's image."""
    extra_env: Environment | None = None
    """Environment variables: a map, or a list as Kubernetes writes it."""
    image_pull_policy: PullPolicy | None = None
    """When the image is pulled."""
    resources: Resources | None = None
    """What the container gets."""
    security_context: dict[str, Any] | None = None
    """As Kubernetes writes it."""


class InferenceApi(Container):
    """The runtime's container."""

    model_filename: str | None = None
    """The checkpoint to start with. `darkroom deploy` fills it in."""
    model_mount_path: str | None = None
    """Where the models are."""
    command_arguments: str | None = None
    """Further arguments of the program (`EXTRA_CMD_ARG`)."""
    command: list[str] | None = None
    """A command in place of the image's."""
    args: list[str] | None = None
    """Arguments in place of the image's."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Where the program answers."""
    options: dict[str, JsonValue] | None = None
    """SD WebUI: settings of its config.json."""
    startup_timeout_seconds: Some | None = None
    """How long it may take to start, the first model included."""
    probe_path: str | None = None
    """What the probes ask; else the type's own, and where that is not known, whether the port is open."""
    pre_stop: dict[str, JsonValue] | None = None
    """A preStop hook in place of the one that waits for the agent, which takes an image with sh, grep and sleep."""
    shared_memory: VolumeSize | None = None
    """The size of /dev/shm."""


class XRay(Values):
    """Traces."""

    enabled: bool | None = None
    """Send traces to AWS X-Ray."""
    endpoint: str | None = None
    """Who takes them (OTLP over HTTP)."""


class QueueAgent(Container):
    """The agent's container."""

    registration: dict[str, JsonValue] | None = None
    """The runtime's entry in the parameter store. `darkroom deploy` fills it in."""
    dynamic_model: bool | None = None
    """Whether a task may ask for another checkpoint. `darkroom deploy` fills it in."""
    s3_bucket: str | None = Field(None, alias="s3Bucket")
    """Where images go. The registration says it."""
    sns_topic_arn: str | None = None
    """Kept for older values."""
    sqs_queue_url: str | None = None
    """Where tasks wait. The registration says it."""
    health_port: Annotated[int, Field(ge=1024, le=65535)] | None = None
    """Where the agent answers the probes."""
    publish_deletion_cost: bool | None = None
    """Tell Kubernetes whether the pod is busy, so that a scale-down takes idle pods first."""
    watch_interruptions: bool | None = None
    """Ask the instance itself for a spot interruption, too. The pods then reach its metadata."""
    x_ray: XRay | None = Field(None, alias="XRay")
    """Traces."""


class Fallback(Values):
    """What to do when the queue cannot be read."""

    failure_threshold: Some
    """After how many failures."""
    replicas: Whole
    """How many replicas then."""
    behavior: FallbackBehavior | None = None
    """How that number is meant."""


class Scaling(Values):
    """How the replicas follow the queue (a ScaledObject of KEDA)."""

    enabled: bool | None = None
    """Follow the queue; off, `replicas` holds."""
    queue_length: Some | None = None
    """Messages for one replica."""
    activation_queue_length: Whole | None = None
    """More messages than this wake the runtime from zero."""
    scale_on_in_flight: bool | None = None
    """Count messages at work too."""
    cooldown_period: Some | None = None
    """Seconds without work until the last replica goes."""
    initial_cooldown_period: Whole | None = None
    """Seconds after the first deployment in which it stays."""
    polling_interval: Some | None = None
    """Seconds between two looks at the queue."""
    min_replica_count: Whole | None = None
    """Replicas that always run."""
    max_replica_count: Some | None = None
    """Replicas at most."""
    fallback: Fallback | None = None
    """When the queue cannot be read."""
    extra_hpa_config: dict[str, JsonValue] | None = Field(None, alias="extraHPAConfig")
    """The HPA's `behavior`, laid over the chart's."""
    behavior: dict[str, JsonValue] | None = None
    """The HPA's `behavior`, in the chart's own words."""


class Cache(Values):
    """Models kept on a node, for all its pods."""

    enabled: bool | None = None
    """Keep what was read."""
    size_limit: VolumeSize | None = None
    """How much."""
    medium: Literal["", "Memory"] | None = None
    """Where: the node's disk, or its memory."""


class Persistence(Values):
    """Where the models come from."""

    enabled: bool | None = None
    """Mount the model bucket; off, the image brings its models."""
    existing_claim: str | None = None
    """A claim of your own."""
    labels: dict[str, str] | None = None
    """Labels of the claim."""
    annotations: dict[str, str] | None = None
    """Annotations of the claim."""
    bucket: str | None = None
    """The bucket. `darkroom deploy` fills it in."""
    prefix: Annotated[str, Field(pattern=r"^(.+/)?$")] | None = None
    """A folder of the bucket, with its slash."""
    storage_class: str | None = None
    """The claim's storage class; a bucket needs none."""
    size: VolumeSize | None = None
    """The claim's size, which S3 ignores."""
    access_modes: list[AccessMode] | None = None
    """The claim's access modes."""
    mount_options: list[str] | None = None
    """Further options of Mountpoint."""
    cache: Cache | None = None
    """Models kept on the node."""


class PodDisruptionBudget(Values):
    """How many replicas may be away at once, of their own free will."""

    enabled: bool | None = None
    """Make one."""
    max_unavailable: int | Annotated[str, Field(pattern=r"^[0-9]{1,3}%$")] | None = None
    """How many, or which share."""


class NetworkPolicy(Values):
    """Whom the pods may speak with."""

    enabled: bool | None = None
    """Make one."""
    ingress: list[dict[str, JsonValue]] | None = None
    """Who may come in."""
    egress: list[dict[str, JsonValue]] | None = None
    """Where the pods may go, beside DNS, HTTP and HTTPS."""


class RuntimeValues(Values):
    """The runtime's pods."""

    labels: dict[str, str] | None = None
    """Labels of everything."""
    annotations: dict[str, str] | None = None
    """Annotations of the pods."""
    service_account_name: str | None = None
    """The pods' service account; else the runtime's name."""
    replicas: Whole | None = None
    """How many replicas, without scaling."""
    task_timeout_seconds: Some | None = None
    """The longest task. The runtime is stopped beyond it, and a pod that ends waits for it."""
    node_selector: dict[str, str] | None = None
    """Labels of the nodes."""
    tolerations: list[dict[str, JsonValue]] | None = None
    """Taints of the nodes that the pods bear."""
    priority_class_name: str | None = None
    """The pods' priority."""
    image_pull_secrets: list[dict[str, str]] | None = None
    """Secrets of image registries."""
    scaling: Scaling | None = None
    """How the replicas follow the queue."""
    inference_api: InferenceApi | None = None
    """The runtime's container."""
    queue_agent: QueueAgent | None = None
    """The agent's container."""
    persistence: Persistence | None = None
    """Where the models come from."""
    pod_disruption_budget: PodDisruptionBudget | None = None
    """How many replicas may be away at once."""
    network_policy: NetworkPolicy | None = None
    """Whom the pods may speak with."""
