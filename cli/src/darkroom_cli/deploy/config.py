"""config.yaml: what is to be deployed, by the guide's names."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Discriminator, Field, JsonValue, Tag, model_validator
from pydantic.alias_generators import to_camel

from darkroom.runtimes import TASK_TYPES, RuntimeType, TypeName
from darkroom.tasks import TaskType
from darkroom_cli.deploy.pod_values import Container, RuntimeValues
from darkroom_cli.deploy.value_types import Namespace, Values
from darkroom_cli.deploy.values import ExtraValues

DEFAULT_MODEL = "v1-5-pruned-emaonly.safetensors"
"""The checkpoint that `darkroom deploy` puts into a new bucket, and that a static runtime serves unless told."""

SAMPLED = frozenset({RuntimeType.SDWEBUI, RuntimeType.COMFYUI})
"""The kinds of runtime that the guide has sample images of."""

RuntimeName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,47}[a-z0-9])?$")]
StackName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,99}$")]
ModelFilename = Annotated[str, Field(pattern=r'^[^"\\]+$')]
KeyId = Annotated[str, Field(pattern=r"^[A-Za-z0-9]+$")]
OutputPrefix = Annotated[str, Field(pattern=r"^[A-Za-z0-9_*]([A-Za-z0-9!_.*'() /-]*[A-Za-z0-9!_.*'()-])?$")]
BucketArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:s3:::.+$")]
StageName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]

_OWN = Tag("own")
_CUSTOM = Tag("custom")


class Throttle(Values):
    """How much one API key may ask for."""

    rate_limit: Annotated[int, Field(ge=1)] = 30
    """Requests a second, in the long run."""
    burst_limit: Annotated[int, Field(ge=1)] = 50
    """Requests at once."""


class ApiGateway(Values):
    """The API."""

    stage_name: StageName = "prod"
    """The API's stage, the first part of its path."""
    throttle: Throttle = Throttle()
    """How much one API key may ask for."""


class Parameters(Values):
    """Parameters of the templates in sam/ that no other key sets: an existing VPC or cluster, an alarm's topic."""

    cluster: dict[str, str] = Field(default_factory=dict)
    """Of sam/cluster.yaml."""
    control_plane: dict[str, str] = Field(default_factory=dict)
    """Of sam/template.yaml."""
    operations: dict[str, str] = Field(default_factory=dict)
    """Of sam/operations.yaml."""
    runtime: dict[str, str] = Field(default_factory=dict)
    """Of sam/runtime.yaml, for every runtime."""


class _Runtime(Values):
    name: RuntimeName
    """The runtime's name, as requests give it. No two are the same."""
    namespace: Namespace = "default"
    """Its Kubernetes namespace, which is made if it is missing. One for each runtime is best."""
    type: TypeName
    """Its kind: sdwebui, comfyui, http (a server of your own), or that of your own adapter (docs/runtimes.md)."""
    task_types: Annotated[list[TaskType], Field(min_length=1)] | None = None
    """The types of tasks that it takes, where those are not all that its kind can do."""
    model_filename: ModelFilename | None = None
    """SD WebUI: the checkpoint to serve (static) or to start with (dynamic). No two are the same."""
    dynamic_model: bool = False
    """SD WebUI: load the checkpoint that a task asks for."""
    owners: Annotated[list[KeyId], Field(min_length=1)] | None = None
    """Ids of the API keys whose tasks it takes, and its pods may touch; else those of all keys."""
    output_prefix: OutputPrefix | None = None
    """The one folder that its tasks may name and its pods may write to; else any. A `*` stands for anything."""
    chart_version: str | None = None
    """The version of your own chart."""

    @property
    def model(self) -> str:
        """The checkpoint to start with; empty for none."""
        if self.type != "sdwebui":
            return ""
        return self.model_filename or ("" if self.dynamic_model else DEFAULT_MODEL)

    @model_validator(mode="after")
    def _check_task_types(self) -> Self:
        able = TASK_TYPES.get(self.type, frozenset(TaskType))
        if alien := sorted(set(self.task_types or ()) - able):
            raise ValueError(f"taskTypes: {self.type} does {', '.join(sorted(able))}; not {', '.join(alien)}")
        return self


class Runtime(_Runtime):
    """A runtime, deployed with charts/darkroom-runtime."""

    chart_repository: Literal[""] | None = None
    """Empty: the chart of this repository."""
    extra_values: ExtraValues = ExtraValues()
    """Values of the chart."""

    @property
    def values(self) -> dict[str, Any]:
        """What of the chart's values is given."""
        return self.extra_values.model_dump(by_alias=True, exclude_unset=True, mode="json")

    @model_validator(mode="after")
    def _check_images(self) -> Self:
        """There are images of some kinds only: the guide's samples, and the agent that `darkroom deploy` builds."""
        pods = self.extra_values.runtime or RuntimeValues()
        if self.type not in {*RuntimeType} and not _names_image(pods.queue_agent):
            close = get_close_matches(self.type, [*RuntimeType], n=1)
            raise ValueError(
                f"the type {self.type!r} is none of {', '.join(RuntimeType)}"
                + (f"; did you mean {close[0]}?" if close else "")
                + "; for an adapter of your own, name an agent that has it: extraValues.runtime.queueAgent.image"
            )
        if self.type not in SAMPLED and not _names_image(pods.inference_api):
            raise ValueError(f"{self.type}: name your runtime's image: extraValues.runtime.inferenceApi.image")
        return self


class CustomRuntime(_Runtime):
    """A runtime, deployed with a chart of your own."""

    chart_repository: Annotated[str, Field(pattern=r"^(oci|https?)://.+")]
    """Where the chart is: `oci://…/<chart>`, or the address of a repository that holds it."""
    chart_name: str = "darkroom-runtime"
    """The chart's name in an HTTP repository."""
    extra_values: dict[str, JsonValue] = Field(default_factory=dict)
    """Values of the chart, as they are."""

    @property
    def values(self) -> dict[str, Any]:
        """What of the chart's values is given."""
        return dict(self.extra_values)


def _names_image(container: Container | None) -> bool:
    return bool(container and container.image and container.image.repository)


def _whose_chart(value: object) -> str:
    if isinstance(value, Mapping):
        return "custom" if value.get("chartRepository") else "own"
    return "custom" if isinstance(value, CustomRuntime) else "own"


AnyRuntime = Annotated[Annotated[Runtime, _OWN] | Annotated[CustomRuntime, _CUSTOM], Discriminator(_whose_chart)]


class Config(Values):
    """What is to be deployed. Only the bucket of models and the runtimes must be given."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        title="Darkroom's config.yaml",
    )

    stack_name: StackName = "sdoneks"
    """The deployment's name; the resources' names begin with it."""
    model_bucket_arn: BucketArn
    """The bucket that holds the models, in the same region. In China its ARN begins with `arn:aws-cn`."""
    api_gateway: ApiGateway = Field(ApiGateway(), alias="APIGW")
    """The API."""
    models_runtime: Annotated[list[AnyRuntime], Field(min_length=1)]
    """The runtimes."""
    parameters: Parameters = Parameters()
    """Parameters of the templates, for what no other key sets."""

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        for what, given in (
            ("name", [runtime.name for runtime in self.models_runtime]),
            ("modelFilename", [runtime.model for runtime in self.models_runtime if runtime.model]),
        ):
            twice = sorted({value for value in given if given.count(value) > 1})
            if twice:
                raise ValueError(f"modelsRuntime: two runtimes have the {what} {twice[0]}; each needs its own")
        return self

    @property
    def bucket(self) -> str:
        """The name of the bucket that holds the models."""
        return self.model_bucket_arn.rpartition(":::")[2]

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn` or `aws-us-gov`."""
        return self.model_bucket_arn.split(":")[1]

    @property
    def placeholders(self) -> list[str]:
        """What still stands for something: `<bucket name>`, `${MODEL_BUCKET}`."""
        return sorted(set(re.findall(r"<[a-z_ ]+>|\$\{\w+\}", self.model_dump_json())))
