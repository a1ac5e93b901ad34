"""What decides how a runtime scales: the chart's values, by the chart's names, with the chart's defaults."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from darkroom_cli.errors import UsageError


class _Values(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class Policy(_Values):
    """How much the HPA may change in a period (seconds)."""

    type: Literal["Pods", "Percent"]
    value: int = Field(gt=0)
    period_seconds: int = Field(gt=0, le=1800)


class Rules(_Values):
    """The HPA's rules for one direction."""

    stabilization_window_seconds: int = Field(default=0, ge=0, le=3600)
    select_policy: Literal["Max", "Min", "Disabled"] = "Max"
    policies: tuple[Policy, ...] = Field(min_length=1)
    tolerance: float | None = Field(default=None, ge=0)


def _rules(window: int, *policies: tuple[Literal["Pods", "Percent"], int, int]) -> Rules:
    listed = (Policy(type=kind, value=value, period_seconds=period) for kind, value, period in policies)
    return Rules(stabilization_window_seconds=window, policies=tuple(listed))


class Behavior(_Values):
    """The HPA's rules."""

    scale_up: Rules = _rules(0, ("Percent", 100, 15), ("Pods", 10, 15))
    scale_down: Rules = _rules(120, ("Pods", 1, 60))


class Fallback(_Values):
    """How many replicas there are to be when the queue cannot be read so many times in a row."""

    failure_threshold: int = Field(default=12, ge=0)
    replicas: int = Field(default=1, ge=0)
    behavior: Literal["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"] = (
        "currentReplicasIfHigher"
    )

    def count(self, current: int) -> int:
        """The replicas to fall back to, with so many now."""
        match self.behavior:
            case "static":
                return self.replicas
            case "currentReplicas":
                return current
            case "currentReplicasIfHigher":
                return max(current, self.replicas)
            case "currentReplicasIfLower":
                return min(current, self.replicas)


class Scaling(_Values):
    """`runtime.scaling` of the chart. Times are in seconds."""

    enabled: bool = True
    queue_length: int = Field(default=10, gt=0)
    activation_queue_length: int = Field(default=0, ge=0)
    scale_on_in_flight: bool = True
    cooldown_period: int = Field(default=300, ge=0)
    initial_cooldown_period: int = Field(default=0, ge=0)
    polling_interval: int = Field(default=5, gt=0)
    min_replica_count: int = Field(default=0, ge=0)
    max_replica_count: int = Field(default=20, gt=0)
    fallback: Fallback | None = Fallback()
    extra_hpa_config: Mapping[str, Any] = Field(default={}, alias="extraHPAConfig")
    behavior: Behavior = Behavior()


class Values(_Values):
    """What of a runtime's values matters here.

    Attributes:
        name: for pictures and tables.
        consolidate_after: seconds for which a node stays once it is empty.
        cached: whether its nodes start with the images (a snapshot is named).
    """

    name: str = "the chart's defaults"
    scaling: Scaling = Scaling()
    consolidate_after: float = Field(default=30, ge=0)
    cached: bool = False

    @classmethod
    def read(cls, path: Path) -> Self:
        """The chart's defaults with a values file over them.

        Raises:
            UsageError: the file cannot be read, or a value of `runtime.scaling` is unknown or not allowed.
        """
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise UsageError(f"{path}: {error}") from error
        try:
            return cls.of(document, path.parent.name if path.stem == "values" else path.stem)
        except ValidationError as error:
            faults = "; ".join(
                f"runtime.scaling.{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in error.errors()
            )
            raise UsageError(f"{path}: {faults}") from error

    @classmethod
    def of(cls, document: Mapping[str, Any], name: str) -> Self:
        """The same, of a values document."""
        given = _at(document, "runtime", "scaling") or {}
        defaults = Scaling().model_dump(by_alias=True)
        merged = overlay(defaults, given)
        merged["behavior"] = overlay(merged["behavior"], merged.get("extraHPAConfig") or {})
        nodes = _at(document, "karpenter", "provisioner", "disruption", "consolidateAfter")
        snapshot = _at(document, "karpenter", "nodeTemplate", "dataVolume", "snapshotID")
        return cls(
            name=name,
            scaling=Scaling.model_validate(merged),
            consolidate_after=30 if nodes is None else seconds(str(nodes)),
            cached=bool(snapshot),
        )


def overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """One document over another, as Helm lays them: mappings are merged, everything else is replaced."""
    merged = copy.deepcopy(dict(below))
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = overlay(under, value) if isinstance(under, dict) and isinstance(value, Mapping) else value
    return merged


def seconds(text: str) -> float:
    """A duration as Karpenter writes it (`30s`, `5m`, `1h`), in seconds; `Never` is endless.

    Raises:
        UsageError: it is none.
    """
    if text == "Never":
        return float("inf")
    units = {"s": 1, "m": 60, "h": 3600}
    try:
        return float(text[:-1]) * units[text[-1:]]
    except (KeyError, ValueError):
        raise UsageError(f"{text!r} is no duration such as 30s, 5m or 1h") from None


def _at(document: Mapping[str, Any], *path: str) -> Any:  # noqa: ANN401  whatever stands there
    for name in path:
        document = document.get(name) if isinstance(document, Mapping) else None  # type: ignore[assignment]
    return document
