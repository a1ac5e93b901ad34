"""A runtime's Helm release: its values, and the commands that install it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.runtime_stacks import RuntimeStack
from darkroom_cli.deploy.agent_image import AgentImage
from darkroom_cli.deploy.commands import Step, command, variable
from darkroom_cli.deploy.config import Config, CustomRuntime, Runtime
from darkroom_cli.deploy.images import AGENT_IMAGE, look_up, wants_agent, wants_cache
from darkroom_cli.deploy.names import Names

CONTROL_PLANE = {
    "TasksTopicArn": "TASKS_TOPIC",
    "TasksTable": "TASKS_TABLE",
    "ResultsQueueUrl": "RESULTS_QUEUE_URL",
    "ResultsQueueArn": "RESULTS_QUEUE_ARN",
    "OutputS3Bucket": "OUTPUT_BUCKET",
    "OnDeadLetterFunction": "ON_DEAD_LETTER_FUNCTION",
    "OnDeadLetterRole": "ON_DEAD_LETTER_ROLE",
    "ApiRole": "API_ROLE",
    "sdNotificationOutputArn": "COMPLETIONS_TOPIC",
}
"""What runtimes need to know of the control plane: its outputs, and the variables that take them."""

_REGISTRATION = "runtime.queueAgent.registration"


@dataclass(frozen=True)
class Release:
    """One runtime as a release.

    What is known beforehand stands in a file of values; what only the stacks know comes as `--set`.
    """

    runtime: Runtime | CustomRuntime
    config: Config
    names: Names
    source: Path
    folder: Path
    agent: AgentImage

    @property
    def values_file(self) -> Path:
        """Where its values are."""
        return self.folder / f"{self.runtime.name}.values.yaml"

    @property
    def service_account(self) -> str:
        """The pods' service account, with which AWS associates their role."""
        return str(look_up(self.runtime.values, "runtime.serviceAccountName") or self.runtime.name)

    def values(self) -> dict[str, Any]:
        """The configuration's values; over them what the deployment decides, as the guide has it."""
        runtime = self.runtime
        decided: dict[str, Any] = {
            "global": {
                "awsRegion": self.names.region,
                "stackName": self.names.control_plane,
                "clusterName": self.names.cluster,
            },
            "runtime": {
                "type": runtime.type,
                "serviceAccountName": self.service_account,
                "inferenceApi": {"modelFilename": runtime.model},
                "queueAgent": {"dynamicModel": runtime.dynamic_model},
                "persistence": {"bucket": self.config.bucket},
            },
        }
        return _merge(runtime.values, decided)

    def stack_parameters(self) -> dict[str, str]:
        """The parameters of sam/runtime.yaml."""
        runtime = self.runtime
        stack = RuntimeStack(
            self.names.control_plane,
            runtime.name,
            runtime.type,
            runtime.model,
            runtime.dynamic_model,
            tuple(runtime.task_types or ()),
        )
        cluster = {
            "ClusterName": variable("CLUSTER_NAME"),
            "Namespace": runtime.namespace,
            "ServiceAccount": self.service_account,
        }
        known = stack.parameters(lambda output: variable(CONTROL_PLANE[output]))
        wide = {"Owners": "*", "OutputPrefix": "*"}  # said, since a stack keeps what it was once told
        reach = {"Owners": ",".join(runtime.owners or ()), "OutputPrefix": runtime.output_prefix or ""}
        given = {name: value for name, value in reach.items() if value}
        return {**known, **cluster, **wide, **self.config.parameters.runtime, **given}

    def step(self) -> Step:
        """Installs or upgrades it."""
        name = self.runtime.name
        read = command(
            *("aws", "ssm", "get-parameter", "--region", self.names.region),
            *("--name", self.names.registration(name), "--query", "Parameter.Value", "--output", "text"),
            into="REGISTRATION",
        )
        known = {"karpenter.nodeTemplate.iamRole": variable("NODE_ROLE")}
        if isinstance(self.runtime, CustomRuntime):  # it may read them by the guide's names only
            known["runtime.queueAgent.sqsQueueUrl"] = variable("QUEUE_URL")
            known["runtime.queueAgent.s3Bucket"] = variable("OUTPUT_BUCKET")
            known["runtime.queueAgent.snsTopicArn"] = variable("COMPLETIONS_TOPIC")
        if wants_agent(self.runtime):
            known[f"{AGENT_IMAGE}.repository"] = self.agent.repository
            known[f"{AGENT_IMAGE}.tag"] = self.agent.tag
        if wants_cache(self.runtime):
            known["karpenter.nodeTemplate.dataVolume.snapshotID"] = variable("SNAPSHOT")
        install = command(
            *("helm", "upgrade", "--install", name, *self._chart(), "--kubeconfig", self.names.kubeconfig),
            *("--namespace", self.runtime.namespace, "--create-namespace"),
            *("--values", str(self.values_file), "--set-json", f"{_REGISTRATION}={variable('REGISTRATION')}"),
            *(part for key, value in known.items() for part in ("--set-string", f"{key}={value}")),
        )
        return Step(f"Install {name} ({self.runtime.type})", (read, install))

    def _chart(self) -> list[str]:
        version = ["--version", self.runtime.chart_version] if self.runtime.chart_version else []
        if not isinstance(self.runtime, CustomRuntime):
            return [str(self.source / "charts/darkroom-runtime")]
        repository = self.runtime.chart_repository
        if repository.startswith("oci://"):
            return [repository.rstrip("/"), *version]
        return [self.runtime.chart_name, "--repo", repository, *version]


def _merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
