"""From a configuration to the steps that carry it out."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from darkroom_cli.deploy.agent_image import AgentImage
from darkroom_cli.deploy.commands import Command, Step, aws, command, reach_cluster, read_output, variable
from darkroom_cli.deploy.components import Component, read_components
from darkroom_cli.deploy.config import Config
from darkroom_cli.deploy.images import cache_size, cached_images, wants_agent
from darkroom_cli.deploy.model_buckets import bucket_steps
from darkroom_cli.deploy.names import Names
from darkroom_cli.deploy.releases import CONTROL_PLANE, Release
from darkroom_cli.deploy.snapshots import snapshot_step


@dataclass(frozen=True)
class Deployment:
    """What is to be deployed, and from where.

    Attributes:
        source: the folder of this repository: sam/, charts/.
        folder: where generated files (the releases' values) are.
    """

    config: Config
    region: str
    source: Path
    folder: Path

    @property
    def names(self) -> Names:
        """What the parts are called."""
        return Names(self.config.stack_name, self.region)

    @property
    def agent(self) -> AgentImage:
        """The agent's image, where it has to be built."""
        return AgentImage(self.names, self.source)

    @property
    def releases(self) -> list[Release]:
        """The runtimes' Helm releases."""
        return [
            Release(runtime, self.config, self.names, self.source, self.folder, self.agent)
            for runtime in self.config.models_runtime
        ]

    def steps(self) -> Iterator[Step]:
        """Everything, in order. Each step is safe to repeat."""
        yield from bucket_steps(self.names, self.config.bucket)
        if any(map(wants_agent, self.config.models_runtime)):
            yield from self.agent.steps()
        yield from self._cluster()
        yield from (self._component(component) for component in read_components(self.source / "charts"))
        yield from self._images()
        yield from self._control_plane()
        for release in self.releases:
            yield self._runtime_stack(release)
            yield release.step()
        yield self._outputs()

    def output(self, stack: str, key: str, into: str) -> Command:
        """The command that reads an output of a stack."""
        return read_output(self.region, stack, key, into)

    def _sam_deploy(self, template: Path, stack: str, capability: str, parameters: dict[str, str]) -> Command:
        overrides = [f"{key}={_as_sam_reads(value)}" for key, value in parameters.items()]
        return command(
            *("sam", "deploy", "--region", self.region, "--template-file", str(template), "--stack-name", stack),
            *("--resolve-s3", "--no-confirm-changeset", "--no-fail-on-empty-changeset", "--disable-rollback"),
            *("--capabilities", capability, "CAPABILITY_AUTO_EXPAND"),
            *("--tags", f"darkroom:deployment={self.config.stack_name}"),
            *(["--parameter-overrides", *overrides] if overrides else []),
        )

    def _cluster(self) -> Iterator[Step]:
        names = self.names
        yield Step(
            "Let EC2 buy spot instances",
            (aws(self.region, "iam", "create-service-linked-role", "--aws-service-name", "spot.amazonaws.com"),),
            unless=aws(self.region, "iam", "get-role", "--role-name", "AWSServiceRoleForEC2Spot"),
        )
        parameters = {
            "ClusterName": names.cluster,
            "ModelBucketArns": self.config.model_bucket_arn,
            **self.config.parameters.cluster,
        }
        yield Step(
            "Deploy network and cluster",
            (
                self._sam_deploy(
                    self.source / "sam/cluster.yaml", names.cluster_stack, "CAPABILITY_NAMED_IAM", parameters
                ),
                self.output(names.cluster_stack, "ClusterName", "CLUSTER_NAME"),
                self.output(names.cluster_stack, "AccessRoleArn", "ACCESS_ROLE"),
                self.output(names.cluster_stack, "KarpenterNodeRoleName", "NODE_ROLE"),
                self.output(names.cluster_stack, "KarpenterInterruptionQueueName", "INTERRUPTION_QUEUE"),
                reach_cluster(names),
            ),
            note="About 20 minutes the first time.",
        )

    def _component(self, component: Component) -> Step:
        where = ["--repo", component.repository] if component.repository else []
        values = ["--values", str(self.source / "charts" / component.values)] if component.values else []
        settings = [part for key, value in component.set_values() for part in ("--set", f"{key}={value}")]
        return Step(
            f"Install {component.name} {component.version}",
            (
                command(
                    *("helm", "upgrade", "--install", component.name, component.chart, *where),
                    *("--version", component.version, "--kubeconfig", self.names.kubeconfig),
                    *("--namespace", component.namespace, "--create-namespace", *values, *settings),
                    *([] if component.crds else ["--skip-crds"]),
                    *("--wait", "--timeout", "10m"),
                ),
            ),
        )

    def _images(self) -> Iterator[Step]:
        names = self.names
        tagged = f"Name=tag:karpenter.sh/discovery,Values={variable('CLUSTER_NAME')}"
        subnets = (self.region, "ec2", "describe-subnets", "--output", "text")
        parameters = {
            "ClusterName": variable("CLUSTER_NAME"),
            "VpcId": variable("VPC"),
            "SubnetId": variable("SUBNET"),
            **self.config.parameters.operations,
        }
        yield Step(
            "Deploy the state machines of operations",
            (
                aws(*subnets, "--filters", tagged, "--query", "Subnets[0].SubnetId || ''", into="SUBNET"),
                aws(*subnets, "--subnet-ids", variable("SUBNET"), "--query", "Subnets[0].VpcId", into="VPC"),
                self._sam_deploy(
                    self.source / "sam/operations.yaml", names.operations_stack, "CAPABILITY_NAMED_IAM", parameters
                ),
            ),
            note="In a subnet of the cluster's: one tagged karpenter.sh/discovery, as Karpenter needs it.",
        )
        agent = f"{self.agent.repository}:{self.agent.tag}"
        images, size = cached_images(self.config, agent), cache_size(self.config)
        if images:
            yield snapshot_step(names, images, size)

    def _control_plane(self) -> Iterator[Step]:
        build, gateway = self.source / ".aws-sam/build", self.config.api_gateway
        yield Step(
            "Build the control plane",
            (
                command(
                    *("sam", "build", "--template", str(self.source / "sam/template.yaml")),
                    *("--build-dir", str(build), "--cached", "--parallel"),
                ),
            ),
        )
        parameters = {
            "StageName": gateway.stage_name,
            "RateLimit": str(gateway.throttle.rate_limit),
            "BurstLimit": str(gateway.throttle.burst_limit),
            "WithDefaultRuntime": "false",
            **self.config.parameters.control_plane,
        }
        stack = self.names.control_plane
        yield Step(
            "Deploy the control plane",
            (
                self._sam_deploy(build / "template.yaml", stack, "CAPABILITY_IAM", parameters),
                *(self.output(stack, key, into) for key, into in CONTROL_PLANE.items()),
            ),
        )

    def _runtime_stack(self, release: Release) -> Step:
        return Step(
            f"Deploy the queue of {release.runtime.name}",
            (
                self._sam_deploy(
                    self.source / "sam/runtime.yaml",
                    self.names.runtime_stack(release.runtime.name),
                    "CAPABILITY_IAM",
                    release.stack_parameters(),
                ),
                self.output(self.names.runtime_stack(release.runtime.name), "QueueUrl", "QUEUE_URL"),
            ),
        )

    def _outputs(self) -> Step:
        return Step(
            "Show what there is",
            (
                aws(
                    self.region,
                    *("cloudformation", "describe-stacks", "--stack-name", self.names.control_plane),
                    *("--query", "Stacks[0].Outputs[].[OutputKey,OutputValue]", "--output", "text"),
                ),
            ),
        )


def _as_sam_reads(value: str) -> str:
    """A parameter's value, quoted where SAM would take nothing, or its first word only."""
    if re.fullmatch(r"[^\s\"'\\]+", value):
        return value
    escaped = value.replace('"', '\\"')  # and no more: SAM takes other backslashes as they are
    return f'"{escaped}"'
