"""config.yaml from the command's options: the guide's simplest set-up, one runtime."""

from dataclasses import dataclass
from typing import Any

from darkroom_cli.deploy.config import DEFAULT_MODEL, SAMPLED
from darkroom_cli.deploy.documents import write_yaml
from darkroom_cli.deploy.names import Names

_HEAD = """\
# Written by `darkroom deploy`. Change it as you like (config.example.yaml shows every key), look at what would be
# done with `darkroom deploy --dry-run`, and do it with `darkroom deploy`.
# yaml-language-server: $schema={schema}

"""


@dataclass(frozen=True)
class Options:
    """What `darkroom deploy` was told of a new deployment. None and empty: the default."""

    stack_name: str | None = None
    bucket: str | None = None
    snapshot: str | None = None
    runtime_name: str | None = None
    runtime_type: str | None = None

    @property
    def given(self) -> dict[str, str]:
        """Those that were given, by their names on the command line."""
        known = {name.replace("_", "-"): value for name, value in vars(self).items()}
        return {f"--{name}": value for name, value in known.items() if value}


def generate(options: Options, names: Names, bucket: str) -> dict[str, Any]:
    """The configuration as a document.

    Args:
        options: what was given.
        names: the deployment's.
        bucket: the bucket that holds, or will hold, the models.
    """
    nodes: dict[str, Any] = {"amiFamily": "Bottlerocket"}
    if options.snapshot:
        nodes["dataVolume"] = {"snapshotID": options.snapshot}
    runtime: dict[str, Any] = {
        "name": options.runtime_name or "sdruntime",
        "namespace": "default",
        "type": options.runtime_type or "sdwebui",
    }
    if runtime["type"] == "sdwebui":
        runtime |= {"modelFilename": DEFAULT_MODEL, "dynamicModel": False}
    pods: dict[str, Any] = {
        "scaling": {"queueLength": 10, "minReplicaCount": 0, "maxReplicaCount": 5, "cooldownPeriod": 300}
    }
    if runtime["type"] not in SAMPLED:
        pods["inferenceApi"] = {"image": {"repository": "<repository of your image>", "tag": "latest"}}
    runtime["extraValues"] = {
        "karpenter": {
            "nodeTemplate": nodes,
            "provisioner": {
                "instanceType": [
                    *("g4dn.xlarge", "g4dn.2xlarge"),
                    *(() if names.in_china else ("g5.xlarge", "g5.2xlarge", "g6.xlarge", "g6.2xlarge")),
                ],
                "capacityType": {"onDemand": True, "spot": True},
            },
        },
        "runtime": pods,
    }
    return {
        "stackName": names.deployment,
        "modelBucketArn": f"arn:{names.partition}:s3:::{bucket}",
        "APIGW": {"stageName": "prod", "throttle": {"rateLimit": 30, "burstLimit": 50}},
        "modelsRuntime": [runtime],
    }


def write_config(document: dict[str, Any], schema: str) -> str:
    """The document as a file for people."""
    return _HEAD.format(schema=schema) + write_yaml(document)
