"""Renders charts/darkroom-runtime as Helm does, and holds what comes out against Kubernetes' own schemas."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import yaml
from jsonschema import Draft202012Validator
from kubernetes_validate import utils as kubernetes

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/darkroom-runtime"
KUBERNETES = "1.35"

kubernetes.schema_contents = cache(kubernetes.schema_contents)  # it would read all definitions for each object

Object = dict[str, Any]
Key = tuple[str, str]

WHOLE_CLUSTER = {"PersistentVolume", "NodePool", "EC2NodeClass"}
CUSTOM = {"keda.sh/v1alpha1", "karpenter.sh/v1", "karpenter.k8s.aws/v1"}


def render(values: Mapping[str, Any], name: str = "sdruntime", namespace: str = "default") -> dict[Key, Object]:
    """The chart's objects, by kind and name."""
    files = _chart().render(dict(values), name=name, namespace=namespace)
    texts = [text for path, text in files.items() if path.endswith(".yaml")]
    found = [it for text in texts for it in yaml.load_all(text, yaml.CSafeLoader) if it]
    keyed = {(it["kind"], it["metadata"]["name"]): it for it in found}
    assert len(found) == len(keyed), "two objects have one kind and name"
    return keyed


def one(objects: Mapping[Key, Object], kind: str) -> Object:
    """The only object of its kind."""
    (found,) = (it for (kind_, _), it in objects.items() if kind_ == kind)
    return found


def check(it: Object) -> None:
    """Hold an object against the schema of its kind, strictly."""
    if it["apiVersion"] not in CUSTOM:
        kubernetes.validate(it, KUBERNETES, strict=True)
        return
    assert {"apiVersion", "kind", "metadata", "spec"} == set(it)
    schema = _schemas(it["apiVersion"])[it["kind"]]
    faults = [
        f"{fault.json_path}: {fault.message}" for fault in Draft202012Validator(schema).iter_errors(it["spec"])
    ]
    assert [] == faults


@cache
def _chart() -> helm_python.Chart:
    return helm_python.Chart.load(str(CHART))


@cache
def _schemas(api_version: str) -> Any:
    return yaml.safe_load(
        (Path(__file__).parent / "crds" / f"{api_version.replace('/', '_')}.yaml").read_text("utf-8")
    )
