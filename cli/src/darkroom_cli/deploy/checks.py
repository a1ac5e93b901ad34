"""What has to be there before anything is deployed, and what to do about what is not."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from darkroom_cli.deploy.config import Config
from darkroom_cli.deploy.images import AGENT_IMAGE, OLD_AGENT, look_up, snapshot_of
from darkroom_cli.deploy.names import Names
from darkroom_cli.settings import tool_environment

State = Literal["ok", "warning", "missing"]

TOOLS = {
    "aws": ("--version", r"aws-cli/(\d+)\.(\d+)", (2, 15), "https://docs.aws.amazon.com/cli/latest/userguide/"),
    "sam": ("--version", r"version (\d+)\.(\d+)", (1, 130), "pip install aws-sam-cli"),
    "helm": ("version --short", r"v(\d+)\.(\d+)", (3, 14), "https://helm.sh/docs/intro/install/"),
    "docker": ("--version", r"version (\d+)\.(\d+)", (20, 10), "https://docs.docker.com/engine/install/"),
    "kubectl": ("version --client", r"v(\d+)\.(\d+)", (1, 33), "https://kubernetes.io/docs/tasks/tools/"),
}
"""Each tool: how to ask its version, where the answer has it, the oldest that will do, where to get it."""

QUOTAS = (
    ("ec2", "L-DB2E81BA", "Running On-Demand G and VT instances", "vCPUs", 4),
    ("ec2", "L-3819A6DF", "All G and VT Spot Instance Requests", "vCPUs", 4),
    ("sns", "L-F8E2BA85", "Messages Published per Second", "messages", 30),
)
"""The guide's quotas that can be compared with a number: the smallest GPU instance has four vCPUs."""

NETWORK_QUOTAS = (
    ("vpc", "L-F678F1CE", "VPCs per Region", 1, "describe_vpcs", "Vpcs"),
    ("ec2", "L-0263D0A3", "EC2-VPC Elastic IPs", 3, "describe_addresses", "Addresses"),
)
"""Quotas that a new network uses up: how much it takes, and how to count what is taken."""

_TYPES = ("g6.xlarge", "g6.2xlarge", "g5.xlarge", "g5.2xlarge", "g4dn.xlarge", "g4dn.2xlarge")


@dataclass(frozen=True)
class Check:
    """One finding. `remedy` says what to do where the state is not ok."""

    what: str
    state: State = "ok"
    remedy: str = ""


def check_tools(names: Iterable[str] = TOOLS) -> Iterator[Check]:
    """Whether the tools are there, and new enough."""
    for name in names:
        ask, pattern, oldest, source = TOOLS[name]
        wanted = ".".join(map(str, oldest))
        path = shutil.which(name, path=tool_environment()["PATH"])
        if path is None:
            yield Check(name, "missing", f"install {name} {wanted} or newer: {source}")
            continue
        answer = subprocess.run([path, *ask.split()], capture_output=True, text=True, check=False)  # noqa: S603  ours
        found = re.search(pattern, answer.stdout + answer.stderr)
        if found is None:
            yield Check(name, "warning", f"its version cannot be told; {wanted} or newer is needed")
        elif (int(found[1]), int(found[2])) < oldest:
            yield Check(f"{name} {found[1]}.{found[2]}", "missing", f"{wanted} or newer is needed: {source}")
        else:
            yield Check(f"{name} {found[1]}.{found[2]}")


class AccountChecks:
    """Asks the account whether a configuration can be deployed there. `client` makes boto3 clients."""

    def __init__(self, config: Config, names: Names, client: Callable[[str], Any]) -> None:
        self._config = config
        self._names = names
        self._client = client

    def run(self) -> Iterator[Check]:
        """All checks; one that AWS does not answer is a warning."""
        yield from self._placeholders()
        for check in (self._region, self._bucket, self._instances, self._snapshots, self._quotas):
            try:
                yield from check()
            except (ClientError, BotoCoreError) as error:
                yield Check(check.__name__.strip("_"), "warning", f"AWS could not be asked: {error}")

    def _placeholders(self) -> Iterator[Check]:
        for placeholder in self._config.placeholders:
            yield Check(f"config.yaml: {placeholder}", "missing", "put your own value in its place")
        for runtime in self._config.models_runtime:
            if look_up(runtime.values, f"{AGENT_IMAGE}.repository") == OLD_AGENT:
                remedy = "the guide's agent knows nothing of this control plane; leave it out, and it is built"
                yield Check(f"agent of {runtime.name}", "missing", remedy)

    def _region(self) -> Iterator[Check]:
        names, partition = self._names, self._config.partition
        if partition != names.partition:
            yield Check(
                "modelBucketArn",
                "missing",
                f"in {names.region} it begins with arn:{names.partition}, not arn:{partition}",
            )
        yield Check(f"region {names.region}")

    def _bucket(self) -> Iterator[Check]:
        bucket, s3 = self._config.bucket, self._client("s3")
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
            yield Check(f"bucket {bucket}", "missing", "this is no name of a bucket")
            return
        try:
            where = s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] or "us-east-1"
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchBucket":
                raise
            if self._names.owns_bucket(bucket):
                yield Check(f"bucket {bucket} will be made")
            else:
                yield Check(
                    f"bucket {bucket}", "missing", f"make it in {self._names.region}, or leave --bucket out"
                )
            return
        if where != self._names.region:
            yield Check(f"bucket {bucket}", "missing", f"it is in {where}; it must be in {self._names.region}")
            return
        yield Check(f"bucket {bucket}")
        yield from self._models(s3, bucket)

    def _models(self, s3: Any, bucket: str) -> Iterator[Check]:  # noqa: ANN401  a boto3 client
        for runtime in self._config.models_runtime:
            if not runtime.model:
                continue
            key = f"Stable-diffusion/{runtime.model}"
            if s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("KeyCount"):
                yield Check(f"model {runtime.model}")
            else:
                yield Check(
                    f"model {runtime.model}",
                    "warning",
                    f"upload it: darkroom upload-model {runtime.model} -b {bucket}",
                )

    def _instances(self) -> Iterator[Check]:
        ec2 = self._client("ec2")
        for runtime in self._config.models_runtime:
            if look_up(runtime.values, "karpenter.enabled") is False:
                continue
            wanted = look_up(runtime.values, "karpenter.provisioner.instanceType") or list(_TYPES)
            filters = [{"Name": "instance-type", "Values": wanted}]
            offers = ec2.describe_instance_type_offerings(LocationType="region", Filters=filters)
            there = {offer["InstanceType"] for offer in offers["InstanceTypeOfferings"]} & set(wanted)
            gone = [kind for kind in wanted if kind not in there]
            if not there:
                remedy = f"{self._names.region} has none of {', '.join(wanted)}; choose others, as g4dn.xlarge"
                yield Check(f"instances of {runtime.name}", "missing", remedy)
            elif gone:
                remedy = f"{self._names.region} has no {', '.join(gone)}; the others will do"
                yield Check(f"instances of {runtime.name}", "warning", remedy)
            else:
                yield Check(f"instances of {runtime.name}")

    def _snapshots(self) -> Iterator[Check]:
        ec2 = self._client("ec2")
        for snapshot in sorted({snapshot_of(runtime) for runtime in self._config.models_runtime} - {""}):
            try:
                (found,) = ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]
            except ClientError as error:
                if not error.response["Error"]["Code"].startswith("InvalidSnapshot"):
                    raise
                yield Check(f"snapshot {snapshot}", "missing", f"there is none in {self._names.region}")
                continue
            done = found["State"] == "completed"
            yield Check(
                f"snapshot {snapshot}",
                "ok" if done else "missing",
                "" if done else f"it is {found['State']}; wait for it",
            )

    def _quotas(self) -> Iterator[Check]:
        quotas = self._client("service-quotas")
        for service, code, name, unit, least in QUOTAS:
            value = _quota(quotas, service, code)
            if value is not None:
                ok = value >= least
                remedy = f"it is {value:g} {unit}; ask for more in Service Quotas ({code})"
                yield Check(f"quota {name}: {value:g} {unit}", "ok" if ok else "missing", "" if ok else remedy)
        if self._exists(self._names.cluster_stack):
            return
        ec2 = self._client("ec2")
        for service, code, name, takes, ask, kind in NETWORK_QUOTAS:
            value, used = _quota(quotas, service, code), len(getattr(ec2, ask)()[kind])
            if value is not None and used + takes > value:
                remedy = f"{used} of {value:g} are in use and {takes} more are needed; ask for more ({code})"
                yield Check(f"quota {name}", "missing", remedy)
            elif value is not None:
                yield Check(f"quota {name}: {value:g}")

    def _exists(self, stack: str) -> bool:
        try:
            self._client("cloudformation").describe_stacks(StackName=stack)
        except ClientError:
            return False
        return True


def _quota(quotas: Any, service: str, code: str) -> float | None:  # noqa: ANN401  a boto3 client
    """A quota's value; None where AWS knows none."""
    for ask in (quotas.get_service_quota, quotas.get_aws_default_service_quota):
        try:
            return float(ask(ServiceCode=service, QuotaCode=code)["Quota"]["Value"])
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"NoSuchResourceException", "NoSuchResource"}:
                raise
    return None
