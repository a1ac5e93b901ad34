"""What the templates promise each other, the code and AWS."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from aws_lambda_powertools import Metrics
from tests.templates import template

from darkroom import tasks
from darkroom.aws import measures
from darkroom.aws.task_updates import TaskUpdate
from darkroom.models import now
from darkroom.runtime_stacks import CONTROL_PLANE, RuntimeStack
from darkroom.tasks import TaskError, TaskKey, TaskStatus

TEMPLATES = ("cluster", "operations", "runtime", "template")


def resources(name: str, kind: str) -> dict[str, Any]:
    return {
        logical_id: resource["Properties"]
        for logical_id, resource in template(name)["Resources"].items()
        if resource["Type"] == kind
    }


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(item)


def pod_statements() -> list[dict[str, Any]]:
    (work, *_) = template("runtime")["Resources"]["PodRole"]["Properties"]["Policies"]
    statements: list[dict[str, Any]] = work["PolicyDocument"]["Statement"]
    return statements


# every template


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_arn_names_a_partition(name: str) -> None:
    fixed = [text for text in texts(template(name)["Resources"]) if text.startswith(("arn:aws:", "arn:aws-cn:"))]
    assert [] == fixed


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_exception_from_the_audit_gives_its_reason(name: str) -> None:
    for logical_id, resource in template(name)["Resources"].items():
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
            assert len(skip["comment"]) > 20, logical_id


@pytest.mark.parametrize("kind", ["Serverless::Function", "SQS::Queue", "Logs::LogGroup"])
def test_what_the_audit_excepts_of_one_it_excepts_of_all(kind: str) -> None:
    skips = {
        logical_id: {skip["id"] for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", [])}
        for name in TEMPLATES
        for logical_id, resource in template(name)["Resources"].items()
        if resource["Type"] == f"AWS::{kind}"
    }
    most = set().union(*skips.values())
    assert {} == {logical_id: most - own for logical_id, own in skips.items() if own != most}


@pytest.mark.parametrize("name", TEMPLATES)
def test_only_actions_that_know_no_resource_are_allowed_on_all(name: str) -> None:
    general = re.compile(
        r"(ec2|ssm|logs|iam):(Describe|List)\w+|pricing:GetProducts|ssm:GetCommandInvocation|logs:\w+"
        r"|states:SendTask\w+"  # a task token names no resource
    )
    for resource in template(name)["Resources"].values():
        identity = resource["Type"].startswith(("AWS::IAM::", "AWS::Serverless::"))
        for statement in statements_in(resource) if identity else ():  # elsewhere "*" is the thing itself
            if statement.get("Effect") == "Allow" and statement.get("Resource") == "*":
                actions = statement["Action"]
                for action in [actions] if isinstance(actions, str) else actions:
                    assert general.fullmatch(action), action


def statements_in(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "Effect" in value and "Action" in value:
            yield value
        for item in value.values():
            yield from statements_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from statements_in(item)


# the cluster


def test_the_network_is_the_guides() -> None:
    subnets = resources("cluster", "AWS::EC2::Subnet")
    blocks = {name: subnet["CidrBlock"]["Fn::Sub"] for name, subnet in subnets.items()}
    network = template("cluster")["Parameters"]["VpcNetwork"]["Default"]
    assert {f"{network}.{32 * number}.0/19" for number in range(6)} == {
        block.replace("${VpcNetwork}", network) for block in blocks.values()
    }
    assert 3 == sum(name.startswith("Public") for name in blocks)
    assert 3 == len(resources("cluster", "AWS::EC2::NatGateway"))
    assert "10.0" == network


def test_nodes_reach_s3_and_dynamodb_without_a_nat_gateway() -> None:
    endpoints = resources("cluster", "AWS::EC2::VPCEndpoint").values()
    assert {"s3", "dynamodb"} == {it["ServiceName"]["Fn::Sub"].rsplit(".", maxsplit=1)[-1] for it in endpoints}
    for endpoint in endpoints:
        assert 3 == len(endpoint["RouteTableIds"])


def test_all_add_ons_are_there() -> None:
    names = {it["AddonName"] for it in resources("cluster", "AWS::EKS::Addon").values()}
    assert {
        "vpc-cni",
        "coredns",
        "kube-proxy",
        "eks-pod-identity-agent",
        "aws-mountpoint-s3-csi-driver",
        "aws-ebs-csi-driver",
        "amazon-cloudwatch-observability",
        "adot",
        "cert-manager",
    } == names


@pytest.mark.parametrize(
    ("version", "fits"), [("v2.0.0-eksbuild.1", True), ("", True), ("v1.15.0-eksbuild.1", False)]
)
def test_the_s3_driver_is_of_version_two_at_least(version: str, *, fits: bool) -> None:
    pattern = template("cluster")["Parameters"]["MountpointAddOnVersion"]["AllowedPattern"]
    assert fits == bool(re.fullmatch(pattern, version))


def test_whatever_is_made_for_a_new_cluster_is_not_made_for_an_existing_one() -> None:
    made = {"AWS::EKS::Cluster", "AWS::EKS::Nodegroup", "AWS::EC2::LaunchTemplate", "AWS::Logs::LogGroup"}
    network = {
        "AWS::EC2::VPC",
        "AWS::EC2::Subnet",
        "AWS::EC2::NatGateway",
        "AWS::EC2::EIP",
        "AWS::EC2::VPCEndpoint",
    }
    for name, resource in template("cluster")["Resources"].items():
        if resource["Type"] in made:
            assert "CreateCluster" == resource["Condition"], name
        if resource["Type"] in network:
            assert "CreateVpc" == resource["Condition"], name


def test_components_may_run_on_arm() -> None:
    (nodes,) = resources("cluster", "AWS::EKS::Nodegroup").values()
    assert ["OnArm", "AL2023_ARM_64_STANDARD", "AL2023_x86_64_STANDARD"] == nodes["AmiType"]["Fn::If"]
    assert [{"Ref": "NodeInstanceTypes"}, {"Ref": "NodeCount"}] == [
        nodes["InstanceTypes"],
        nodes["ScalingConfig"]["MinSize"],
    ]
    parameters = template("cluster")["Parameters"]
    assert ("m5.large", 2) == (parameters["NodeInstanceTypes"]["Default"], parameters["NodeCount"]["Default"])


def test_each_component_takes_its_role_by_pod_identity() -> None:
    given = {
        (it["Namespace"]["Ref"], it["ServiceAccount"]): it["RoleArn"]["Fn::GetAtt"][0]
        for it in resources("cluster", "AWS::EKS::PodIdentityAssociation").values()
    }
    assert "KarpenterRole" == given["KarpenterNamespace", "karpenter"]
    assert "KedaRole" == given["KedaNamespace", "keda-operator"]
    add_ons = {
        it["AddonName"]: it["PodIdentityAssociations"]
        for it in resources("cluster", "AWS::EKS::Addon").values()
        if "PodIdentityAssociations" in it
    }
    assert {
        "vpc-cni",
        "aws-mountpoint-s3-csi-driver",
        "aws-ebs-csi-driver",
        "amazon-cloudwatch-observability",
        "adot",
    } == add_ons.keys()
    roles = resources("cluster", "AWS::IAM::Role")
    named = set(re.findall(r"\w+Role(?=')", str([given, add_ons])))
    assert len(named) > 5
    for role in named:
        (statement,) = roles[role]["AssumeRolePolicyDocument"]["Statement"]
        assert {"Service": "pods.eks.amazonaws.com"} == statement["Principal"], role


def test_nodes_and_whoever_administers_get_in_by_access_entries() -> None:
    entries = resources("cluster", "AWS::EKS::AccessEntry")
    kinds = {it["PrincipalArn"]["Fn::GetAtt"][0]: it.get("Type", "STANDARD") for it in entries.values()}
    assert {"AccessRole": "STANDARD", "KarpenterNodeRole": "EC2_LINUX"} == kinds


def test_karpenter_hears_of_interruptions_from_its_rules_only() -> None:
    rules = resources("cluster", "AWS::Events::Rule")
    (policy,) = resources("cluster", "AWS::SQS::QueuePolicy").values()
    allowed, denied = policy["PolicyDocument"]["Statement"]
    sources = {it["Fn::GetAtt"][0] for it in allowed["Condition"]["ArnEquals"]["aws:SourceArn"]}
    assert rules.keys() == sources
    assert "Deny" == denied["Effect"]
    kinds = {rule["EventPattern"]["detail-type"][0] for rule in rules.values()}
    assert {
        "AWS Health Event",
        "EC2 Spot Instance Interruption Warning",
        "EC2 Instance Rebalance Recommendation",
        "EC2 Instance State-change Notification",
    } == kinds


def test_keda_may_see_the_queues_that_runtimes_tag() -> None:
    (policy,) = resources("cluster", "AWS::IAM::Role")["KedaRole"]["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    (wanted,) = statement["Condition"]["StringLike"]
    (tag,) = template("runtime")["Resources"]["Queue"]["Properties"]["Tags"]
    assert f"aws:ResourceTag/{tag['Key']}" == wanted
    assert "sqs:GetQueueAttributes" == statement["Action"]


def test_the_command_for_kubectl_is_the_guides() -> None:
    command, _ = template("cluster")["Outputs"]["ConfigCommand"]["Value"]["Fn::Sub"]
    expected = "aws eks update-kubeconfig --name ${Name} --region ${AWS::Region} --role-arn ${AccessRole.Arn}"
    assert expected == command


# a runtime


def test_a_pod_may_write_what_the_agent_writes_of_a_task_and_nothing_else() -> None:
    time = now()
    changes = (
        tasks.claim(time, timedelta(minutes=1), time),
        tasks.extend(time, 1, timedelta(minutes=1), 0.5, "s3://bucket/preview.png"),
        tasks.release(time, 1, TaskError(type="x", message="y", retryable=True)),
        tasks.expire(time),
    )
    written = {"pk"}
    for change in changes:
        written |= set(TaskUpdate(change).parameters()["ExpressionAttributeNames"].values())
    (update,) = (it for it in pod_statements() if it["Action"] == "dynamodb:UpdateItem")
    assert written == set(update["Condition"]["ForAllValues:StringEquals"]["dynamodb:Attributes"])
    assert not written & {"owner", "content", "content_ref", "prefix", "task_token", "webhook", "runtime"}


def test_a_pod_touches_the_tasks_of_its_owners_by_their_key() -> None:
    assert "key1/t1" == str(TaskKey("key1", "t1"))  # so `key1/*` are all tasks of key1
    for action in ("dynamodb:GetItem", "dynamodb:UpdateItem"):
        (statement,) = (it for it in pod_statements() if it["Action"] == action)
        separator, joined = statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]["Fn::Split"]
        text, given = joined["Fn::Sub"]
        assert (",", "${Each}/*", "/*,") == (separator, text, given["Each"]["Fn::Join"][0])


def measured(capsys: pytest.CaptureFixture[str], status: TaskStatus, make_task: Any) -> dict[str, Any]:
    measures.measure_end(make_task(status=status, finished_at=now()))
    line: dict[str, Any] = json.loads(capsys.readouterr().out)
    return line


def test_alarm_and_dashboard_look_at_the_metrics_that_the_functions_write(
    capsys: pytest.CaptureFixture[str], make_task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measures, "_metrics", Metrics(namespace="Darkroom", service="plane"))
    line = measured(capsys, TaskStatus.FAILED, make_task)
    (described,) = line["_aws"]["CloudWatchMetrics"]
    (dimensions,) = described["Dimensions"]
    names = {metric["Name"] for metric in described["Metrics"]}
    for metric in resources("runtime", "AWS::CloudWatch::Alarm")["TasksFail"]["Metrics"][1:]:
        watched = metric["MetricStat"]["Metric"]
        assert ("Darkroom", True) == (watched["Namespace"], watched["MetricName"] in names)
        assert set(dimensions) == {it["Name"] for it in watched["Dimensions"]}
    for widget in dashboard()["widgets"]:
        for metric in widget["properties"].get("metrics", []):
            if metric[0] == "Darkroom":
                assert metric[1] in names
                assert set(dimensions) == set(metric[2:8:2])


def dashboard() -> dict[str, Any]:
    text = template("runtime")["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    body: dict[str, Any] = json.loads(text.replace("${OldestMessageSeconds}", "900"))
    return body


def test_the_dashboard_shows_backlog_age_ends_and_times() -> None:
    titles = [widget["properties"]["title"] for widget in dashboard()["widgets"]]
    assert [
        "${RuntimeName}: alarms",
        "Backlog and tasks in flight",
        "Age of the oldest task that waits",
        "Tasks by their end",
        "How long tasks waited and ran",
    ] == titles


def test_the_dashboards_widgets_do_not_overlap_and_fill_its_width() -> None:
    cells = [
        (x, y)
        for widget in dashboard()["widgets"]
        for x in range(widget["x"], widget["x"] + widget["width"])
        for y in range(widget["y"], widget["y"] + widget["height"])
    ]
    assert len(cells) == len(set(cells)) == 24 * 14


def test_every_alarm_of_a_runtime_goes_to_the_topic_that_was_given() -> None:
    for name, alarm in resources("runtime", "AWS::CloudWatch::Alarm").items():
        assert "HasAlarmTopic" == alarm["AlarmActions"]["Fn::If"][0], name
        assert alarm["AlarmDescription"], name


# what a runtime's stack is told


def test_a_runtime_lists_types_of_tasks_that_there_are() -> None:
    parameters = template("runtime")["Parameters"]
    pattern = parameters["TaskTypes"]["AllowedPattern"]
    every = RuntimeStack("stack", "mine", "http", task_types=tuple(tasks.TaskType)).parameters(str)["TaskTypes"]
    for given, taken in (
        (every, True),
        ("", True),
        ("pipeline", True),
        ("pipelines", False),
        ("pipeline pipeline", False),
    ):
        assert (re.fullmatch(pattern, given) is not None) is taken, given


def test_a_runtimes_stack_gets_its_parameters_from_outputs_of_the_control_plane() -> None:
    parameters, outputs = template("runtime")["Parameters"], template("template")["Outputs"]
    given = RuntimeStack("stack", "mine", "http").parameters(lambda output: output)
    assert {name for name, it in parameters.items() if "Default" not in it} <= set(given) <= set(parameters)
    assert set(CONTROL_PLANE.values()) <= set(outputs)


def test_alarms_tell_of_waiting_tasks_dead_letters_and_failures() -> None:
    alarms = resources("runtime", "AWS::CloudWatch::Alarm")
    age = alarms["TasksWaitLong"]
    assert ("AWS/SQS", "ApproximateAgeOfOldestMessage") == (age["Namespace"], age["MetricName"])
    assert ["Queue", "QueueName"] == age["Dimensions"][0]["Value"]["Fn::GetAtt"]
    assert {"Ref": "OldestMessageSeconds"} == age["Threshold"]
    for name in ("DeadLettersWaiting", "DeadLettersArrived"):
        assert "DeadLetters" == alarms[name]["Dimensions"][0]["Value"]["Fn::GetAtt"][0]
        assert (0, "GreaterThanThreshold") == (alarms[name]["Threshold"], alarms[name]["ComparisonOperator"])
    statuses = {
        dimension["Value"]
        for metric in alarms["TasksFail"]["Metrics"][1:]
        for dimension in metric["MetricStat"]["Metric"]["Dimensions"]
        if dimension["Name"] == "status"
    }
    assert {"failed", "succeeded"} == statuses
