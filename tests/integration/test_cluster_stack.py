"""The compute tier's templates on an independent CloudFormation engine: whatever they refer to is there."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from darkroom_local.aws.process import run_aws
from darkroom_local.stack import Stack, provision

SAM = Path(__file__).parents[2] / "sam"
OURS = {
    "ClusterName",
    "ConfigCommand",
    "AccessRoleArn",
    "KarpenterNodeRoleName",
    "KarpenterControllerRoleArn",
    "KarpenterInterruptionQueueName",
    "KedaRoleArn",
}
"""Outputs that there are in any case."""

NEW = {"ClusterEndpoint", "ClusterSecurityGroupId", "VpcId", "PrivateSubnetIds"}
"""Outputs of a new cluster."""


@pytest.fixture(scope="module")
def endpoint_url() -> Iterator[str]:
    with run_aws() as url:
        yield url


def deploy(endpoint_url: str, template: str, **parameters: str) -> Stack:
    return provision(endpoint_url, SAM / f"{template}.yaml", f"s{uuid4().hex[:8]}", parameters, "us-west-2")


def test_a_new_network_has_three_private_subnets_with_a_way_out_each(endpoint_url: str) -> None:
    stack = deploy(endpoint_url, "cluster")
    assert OURS | NEW == stack.outputs.keys()
    ec2 = stack.client("ec2")
    inside = [{"Name": "vpc-id", "Values": [stack.outputs["VpcId"]]}]
    subnets = ec2.describe_subnets(Filters=inside)["Subnets"]
    assert [f"10.0.{32 * number}.0/19" for number in range(6)] == sorted(
        (it["CidrBlock"] for it in subnets), key=lambda block: int(block.split(".")[2])
    )
    private = set(stack.outputs["PrivateSubnetIds"].split(","))
    assert 3 == len({it["AvailabilityZone"] for it in subnets if it["SubnetId"] in private})
    tables = [it["Routes"] for it in ec2.describe_route_tables(Filters=inside)["RouteTables"]]
    gateways = [{route["NatGatewayId"] for route in routes if "NatGatewayId" in route} for routes in tables]
    assert 3 == len(set().union(*gateways))
    endpoints = [sum("DestinationPrefixListId" in route for route in routes) for routes in tables]
    assert [2 if gateway else 0 for gateway in gateways] == endpoints  # S3 and DynamoDB, where the private ones are


def test_a_cluster_in_an_existing_network_makes_no_network(endpoint_url: str) -> None:
    stack = deploy(
        endpoint_url, "cluster", ExistingVpcId="vpc-0123abcd", ExistingPrivateSubnetIds="subnet-1,subnet-2"
    )
    assert OURS | NEW == stack.outputs.keys()
    assert ("vpc-0123abcd", "subnet-1,subnet-2") == (stack.outputs["VpcId"], stack.outputs["PrivateSubnetIds"])


def test_an_existing_cluster_gets_roles_and_its_interruption_queue_only(endpoint_url: str) -> None:
    stack = deploy(endpoint_url, "cluster", ExistingClusterName="theirs", ModelBucketArns="arn:aws:s3:::models")
    assert OURS == stack.outputs.keys()
    assert "theirs" == stack.outputs["ClusterName"]
    assert "--name theirs --region us-west-2 --role-arn arn:aws:iam::" in stack.outputs["ConfigCommand"]


def test_the_state_machines_of_operations_are_deployed_with_all_their_names_filled_in(endpoint_url: str) -> None:
    stack = deploy(endpoint_url, "operations", ClusterName="ours", VpcId="vpc-0123abcd", SubnetId="subnet-0123abcd")
    for output in ("BuildImageCacheArn", "TuneVolumesArn"):
        machine = stack.client("stepfunctions").describe_state_machine(stateMachineArn=stack.outputs[output])
        assert "${" not in machine["definition"]
