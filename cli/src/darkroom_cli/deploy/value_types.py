"""What the values of charts/darkroom-runtime are made of."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic.alias_generators import to_camel

Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|[kKMGTPE]i?)?$")] | int | float
"""An amount as Kubernetes writes it: `2500m`, `6Gi`, `1`."""

Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
Duration = Annotated[str, Field(pattern=r"^(([0-9]+(s|m|h))+|Never)$")]
VolumeSize = Annotated[str, Field(pattern=r"^[1-9][0-9]*(Gi|G|Ti|T)$")]
Resource = Annotated[str, Field(pattern=r"^(cpu|memory|ephemeral-storage|nodes|[a-z0-9.-]+/[A-Za-z0-9._-]+)$")]
Amounts = dict[Resource, Quantity]
Environment = dict[str, str | int | float | bool] | list[dict[str, JsonValue]]
Whole = Annotated[int, Field(ge=0)]
Some = Annotated[int, Field(ge=1)]
PullPolicy = Literal["Always", "IfNotPresent", "Never"]
AccessMode = Literal["ReadWriteMany", "ReadOnlyMany", "ReadWriteOnce"]
CapacityReason = Literal["Empty", "Underutilized", "Drifted"]
FallbackBehavior = Literal["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"]


class Values(BaseModel):
    """A section of values: camelCase names, and no others."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, data: object) -> object:
        """A key without a value says nothing, as where all that stood below it is commented out."""
        if not isinstance(data, Mapping):
            return data
        known = {field.alias or name for name, field in cls.model_fields.items()}
        return {key: value for key, value in data.items() if value is not None or key not in known}
