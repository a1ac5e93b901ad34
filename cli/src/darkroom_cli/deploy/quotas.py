"""Whether the account's quotas are large enough for a configuration: those that the guide lists."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from darkroom_cli.deploy.config import Config
from darkroom_cli.deploy.findings import Check
from darkroom_cli.deploy.images import AnyRuntime, look_up
from darkroom_cli.deploy.names import Names

GPU_QUOTAS = {
    "onDemand": ("L-DB2E81BA", "Running On-Demand G and VT instances"),
    "spot": ("L-3819A6DF", "All G and VT Spot Instance Requests"),
}
"""By the capacity types of config.yaml."""

VCPUS = 4
"""Of the smallest GPU instance, in which both quotas count."""

MESSAGES_A_TASK = 2
"""On SNS: the task, and its end."""

_MOST_REPLICAS = 20
"""The chart's own `maxReplicaCount`."""

_NETWORK_PARAMETERS = {"ExistingVpcId", "ExistingClusterName"}


class QuotaChecks:
    """Asks Service Quotas what there may be, and the services what there is. `client` makes boto3 clients."""

    def __init__(self, config: Config, names: Names, client: Callable[[str], Any]) -> None:
        self._config = config
        self._names = names
        self._client = client

    def run(self) -> Iterator[Check]:
        """All of them; a quota that AWS does not know is passed over."""
        yield from self._gpus()
        yield from self._messages()
        if not self._exists(self._names.cluster_stack) and not _NETWORK_PARAMETERS & {
            *self._config.parameters.cluster
        }:
            yield from self._network()
        if not self._exists(self._names.control_plane):
            yield from self._takes(
                "s3", "L-DC2B2D3D", "General purpose buckets", 1, self._count("s3", "list_buckets")
            )

    def _gpus(self) -> Iterator[Check]:
        """A runtime runs if either kind has room for one instance; it grows as far as there is room."""
        wanted = Counter[str]()
        for runtime in self._config.models_runtime:
            wanted.update(dict.fromkeys(_capacity_types(runtime), _most_replicas(runtime)))
        values = {kind: self._quota("ec2", GPU_QUOTAS[kind][0]) for kind in wanted}
        some = any(value is None or value >= VCPUS for value in values.values())
        for kind, value in values.items():
            if value is None:
                continue
            code, name = GPU_QUOTAS[kind]
            room = int(value // VCPUS)
            if room >= wanted[kind]:
                yield Check(f"quota {name}: {value:g} vCPUs")
                continue
            enough = f"enough for {room} of {wanted[kind]} replicas" if room else "too few for one replica"
            yield Check(
                f"quota {name}: {value:g} vCPUs",
                "warning" if some else "missing",
                f"that is {enough}; ask for more in Service Quotas ({code})",
            )

    def _messages(self) -> Iterator[Check]:
        value, code = self._quota("sns", "L-F8E2BA85"), "L-F8E2BA85"
        most = MESSAGES_A_TASK * self._config.api_gateway.throttle.rate_limit
        if value is None:
            return
        remedy = f"one API key's {most // MESSAGES_A_TASK} requests a second make {most}; ask for more ({code})"
        ok = value >= most
        what = f"quota Messages Published per Second: {value:g}"
        yield Check(what, "ok" if ok else "warning", "" if ok else remedy)

    def _network(self) -> Iterator[Check]:
        """A new network takes a VPC, and three addresses for three NAT gateways, each in a zone of its own."""
        ec2 = self._client("ec2")
        yield from self._takes("vpc", "L-F678F1CE", "VPCs per Region", 1, self._count("ec2", "describe_vpcs"))
        yield from self._takes(
            "ec2", "L-0263D0A3", "EC2-VPC Elastic IPs", 3, self._count("ec2", "describe_addresses")
        )
        states = [{"Name": "state", "Values": ["pending", "available"]}]
        gateways = ec2.describe_nat_gateways(Filters=states)["NatGateways"]
        homes = {it["SubnetId"] for it in gateways}
        subnets = ec2.describe_subnets(SubnetIds=sorted(homes))["Subnets"] if homes else []
        zones = {subnet["SubnetId"]: subnet["AvailabilityZone"] for subnet in subnets}
        fullest = max(Counter(zones[it["SubnetId"]] for it in gateways).values(), default=0)
        yield from self._takes("vpc", "L-FE5A380F", "NAT gateways per Availability Zone", 1, fullest)

    def _takes(self, service: str, code: str, name: str, more: int, used: int) -> Iterator[Check]:
        value = self._quota(service, code)
        if value is not None and used + more > value:
            remedy = f"{used} of {value:g} are in use and {more} more are needed; ask for more ({code})"
            yield Check(f"quota {name}", "missing", remedy)
        elif value is not None:
            yield Check(f"quota {name}: {value:g}")

    def _count(self, service: str, operation: str) -> int:
        answer = getattr(self._client(service), operation)()
        return next(len(found) for found in answer.values() if isinstance(found, list))

    def _exists(self, stack: str) -> bool:
        try:
            self._client("cloudformation").describe_stacks(StackName=stack)
        except ClientError:
            return False
        return True

    def _quota(self, service: str, code: str) -> float | None:
        """A quota's value; None where AWS knows none."""
        quotas = self._client("service-quotas")
        for ask in (quotas.get_service_quota, quotas.get_aws_default_service_quota):
            try:
                return float(ask(ServiceCode=service, QuotaCode=code)["Quota"]["Value"])
            except ClientError as error:
                if error.response["Error"]["Code"] not in {"NoSuchResourceException", "NoSuchResource"}:
                    raise
        return None


def _capacity_types(runtime: AnyRuntime) -> list[str]:
    """How a runtime's instances are bought, where they are of the families that the quotas count."""
    provisioner = look_up(runtime.values, "karpenter.provisioner") or {}
    types = provisioner.get("instanceType") or ["g5.xlarge"]
    if look_up(runtime.values, "karpenter.enabled") is False or not any(it.startswith(("g", "vt")) for it in types):
        return []
    given = provisioner.get("capacityType") or {}
    return [kind for kind in GPU_QUOTAS if given.get(kind, True)]


def _most_replicas(runtime: AnyRuntime) -> int:
    scaling = look_up(runtime.values, "runtime.scaling") or {}
    if scaling.get("enabled", True):
        return int(scaling.get("maxReplicaCount", _MOST_REPLICAS))
    return int(look_up(runtime.values, "runtime.replicas") or 1)
