"""What has to be there before anything is deployed, and what to do about what is not."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from darkroom_cli.deploy.config import Config
from darkroom_cli.deploy.findings import Check
from darkroom_cli.deploy.images import AGENT_IMAGE, OLD_AGENT, look_up, snapshot_of
from darkroom_cli.deploy.names import Names
from darkroom_cli.deploy.quotas import QuotaChecks
from darkroom_cli.settings import tool_environment

TOOLS = {
    "aws": ("--version", r"aws-cli/(\d+)\.(\d+)", (2, 15), "https://docs.aws.amazon.com/cli/latest/userguide/"),
    "sam": ("--version", r"version (\d+)\.(\d+)", (1, 130), "pip install aws-sam-cli"),
    "helm": ("version --short", r"v(\d+)\.(\d+)", (3, 14), "https://helm.sh/docs/intro/install/"),
    "docker": ("--version", r"version (\d+)\.(\d+)", (20, 10), "https://docs.docker.com/engine/install/"),
    "kubectl": ("version --client", r"v(\d+)\.(\d+)", (1, 33), "https://kubernetes.io/docs/tasks/tools/"),
}
"""Each tool: how to ask its version, where the answer has it, the oldest that will do, where to get it."""

_TYPES = ("g6.xlarge", "g6.2xlarge", "g5.xlarge", "g5.2xlarge", "g4dn.xlarge", "g4dn.2xlarge")


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
        return QuotaChecks(self._config, self._names, self._client).run()
