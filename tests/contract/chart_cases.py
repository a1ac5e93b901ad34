"""Configurations to render: the guide's own, and what else a config.yaml may say."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from tests.contract.charts import ROOT

from darkroom_cli.deploy.agent_image import AgentImage
from darkroom_cli.deploy.faults import check_config
from darkroom_cli.deploy.names import Names
from darkroom_cli.deploy.releases import Release

GUIDE = ROOT / "tests/guide"
QUEUE = "https://sqs.us-west-2.amazonaws.com/123456789012/sdruntime-Queue"
_BUCKET = {"modelBucketArn": "arn:aws:s3:::models"}


def guide(name: str) -> dict[str, Any]:
    """A piece of the guide's, completed by what it leaves out."""
    piece: dict[str, Any] = yaml.safe_load((GUIDE / f"{name}.yaml").read_text("utf-8"))
    return _BUCKET | {"modelsRuntime": [{"name": "sdruntime", "type": "sdwebui"}]} | piece


def documented(page: str) -> dict[str, Any]:
    """The configuration that a page of the documentation shows."""
    (block,) = re.findall(r"```yaml\n(modelsRuntime:.*?)```", (ROOT / "docs" / page).read_text("utf-8"), re.DOTALL)
    shown: dict[str, Any] = yaml.safe_load(block)
    return _BUCKET | shown


def runtime(extra: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A configuration with one runtime of these values."""
    known = {"name": "sdruntime", "namespace": "default", "type": "sdwebui", "extraValues": dict(extra)}
    return _BUCKET | {"modelsRuntime": [known | more]}


CASES: dict[str, dict[str, Any]] = {
    **{f"guide-{path.stem}": guide(path.stem) for path in sorted(GUIDE.glob("*.yaml"))},
    "documented-http": documented("runtimes.md"),
    "comfyui": runtime({}, type="comfyui", namespace="comfy"),
    "http": runtime(
        {"runtime": {"inferenceApi": {"image": {"repository": "r.example.com/flip"}, "port": 9000}}}, type="http"
    ),
    "own-adapter": runtime(
        {
            "runtime": {
                "inferenceApi": {"image": {"repository": "r.example.com/invokeai"}},
                "queueAgent": {"image": {"repository": "r.example.com/agent"}},
            }
        },
        type="invokeai",
        taskTypes=["text-to-image"],
    ),
    "dynamic": runtime({}, dynamicModel=True),
    "no-gpu": runtime(
        {
            "runtime": {
                "inferenceApi": {"resources": {"limits": {"nvidia.com/gpu": 0}, "requests": {"nvidia.com/gpu": 0}}}
            },
            "karpenter": {"provisioner": {"instanceType": ["c7i.4xlarge"], "resourceLimits": {"cpu": 64}}},
        }
    ),
    "no-karpenter": runtime({"karpenter": {"enabled": False}, "runtime": {"nodeSelector": {"gpu": "mine"}}}),
    "no-persistence": runtime({"runtime": {"persistence": {"enabled": False}}}),
    "own-claim": runtime({"runtime": {"persistence": {"existingClaim": "mine"}}}),
    "own-storage-class": runtime(
        {"runtime": {"persistence": {"storageClass": "efs", "bucket": "", "size": "1Ti"}}}
    ),
    "no-scaling": runtime({"runtime": {"scaling": {"enabled": False}, "replicas": 3}}),
    "always-warm": runtime(
        {"runtime": {"scaling": {"minReplicaCount": 2, "maxReplicaCount": 2, "scaleOnInFlight": False}}}
    ),
    "hpa": runtime(
        {"runtime": {"scaling": {"extraHPAConfig": {"scaleDown": {"stabilizationWindowSeconds": 600}}}}}
    ),
    "environment-as-map": runtime({"runtime": {"inferenceApi": {"extraEnv": {"A": 1, "B": "two", "C": True}}}}),
    "environment-as-list": runtime(
        {
            "runtime": {
                "inferenceApi": {"extraEnv": [{"name": "A", "value": "1"}]},
                "queueAgent": {
                    "extraEnv": [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                    "XRay": {"enabled": False},
                    "publishDeletionCost": False,
                    "watchInterruptions": True,
                },
            }
        }
    ),
    "everything-else": runtime(
        {
            "karpenter": {
                "provisioner": {
                    "labels": {"team": "art"},
                    "annotations": {"a": "b"},
                    "capacityType": {"onDemand": False},
                    "instanceType": [],
                    "extraRequirements": [
                        {"key": "karpenter.k8s.aws/instance-gpu-memory", "operator": "Gt", "values": ["20000"]}
                    ],
                    "extraTaints": [{"key": "team", "value": "art", "effect": "NoSchedule"}],
                    "resourceLimits": {"nvidia.com/gpu": "8", "memory": "512Gi"},
                    "consolidation": False,
                    "disruption": {"consolidateAfter": "5m", "expireAfter": "168h", "budgets": [{"nodes": "1"}]},
                },
                "nodeTemplate": {
                    "subnetIds": ["subnet-1"],
                    "securityGroupSelector": {"Name": "gpu"},
                    "tags": {"cost": "art"},
                    "osVolume": {"volumeSize": "20Gi", "volumeType": "gp2"},
                    "dataVolume": {
                        "volumeSize": "200Gi",
                        "iops": 16000,
                        "snapshotID": "snap-0a",
                        "volumeInitializationRate": 300,
                    },
                    "userData": "[settings.kubernetes]\nallowed-unsafe-sysctls = []\n",
                },
            },
            "runtime": {
                "labels": {"team": "art"},
                "annotations": {"note": "1"},
                "serviceAccountName": "own",
                "taskTimeoutSeconds": 3600,
                "priorityClassName": "high",
                "imagePullSecrets": [{"name": "registry"}],
                "tolerations": [{"key": "x", "operator": "Exists"}],
                "inferenceApi": {
                    "image": {"repository": "r.example.com/webui", "tag": "sha256:" + "0" * 64},
                    "command": ["/start"],
                    "args": ["--fast"],
                    "port": 7860,
                    "options": {"samples_format": "jpg"},
                    "commandArguments": "--medvram --no-half",
                    "preStop": {"sleep": {"seconds": 5}},
                    "resources": {"limits": {"nvidia.com/gpu": 1, "memory": "16Gi"}},
                },
                "persistence": {
                    "labels": {"x": "y"},
                    "annotations": {"z": "w"},
                    "prefix": "sd/",
                    "mountOptions": ["read-only"],
                    "cache": {"medium": "Memory", "sizeLimit": "8Gi"},
                },
                "podDisruptionBudget": {"maxUnavailable": "50%"},
                "networkPolicy": {"egress": [{"ports": [{"protocol": "TCP", "port": 2049}]}]},
            },
        }
    ),
    "bare": runtime(
        {
            "runtime": {
                "podDisruptionBudget": {"enabled": False},
                "networkPolicy": {"enabled": False},
                "persistence": {"cache": {"enabled": False}},
            }
        }
    ),
    "al2023": runtime({"karpenter": {"nodeTemplate": {"amiFamily": "AL2023", "amiAlias": "al2023@v20260801"}}}),
    "long-name": runtime({}, name="a" * 49, namespace="n" * 63),
}


def released(case: Mapping[str, Any]) -> tuple[dict[str, Any], str, str]:
    """The values that `darkroom deploy` gives Helm for a case's first runtime, its name and its namespace."""
    config = check_config(case)
    chosen = config.models_runtime[0]
    region = "cn-northwest-1" if config.partition == "aws-cn" else "us-west-2"
    names = Names(config.stack_name, region)
    release = Release(chosen, config, names, Path(), Path(), AgentImage(names, Path()))
    values = json.loads(json.dumps(release.values()))
    agent = {"DARKROOM_QUEUE_URL": QUEUE, "DARKROOM_RUNTIME_NAME": chosen.name, "DARKROOM_DYNAMIC_MODEL": "false"}
    values["runtime"]["queueAgent"]["registration"] = {"name": chosen.name, "dynamic_model": False, "agent": agent}
    values.setdefault("karpenter", {}).setdefault("nodeTemplate", {})["iamRole"] = "nodes"
    return values, chosen.name, chosen.namespace
