"""The state machines for operations, run by an interpreter of their language; AWS is a note of what it is asked.

Waiting takes no time here. What AWS answers is a table by action: a value, an error, or one after the other.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_aws_sdk
from tests.pipelines import machines
from tests.pipelines.machines import states_of

ROOT = Path(__file__).parents[2]
SUBSTITUTIONS = {
    "Partition": "aws",
    "Stack": "ops",
    "KubernetesVersion": "1.35",
    "SizeGib": "60",
    "Architecture": "x86_64",
    "Subnet": "subnet-1",
    "SecurityGroup": "sg-1",
    "InstanceProfile": "arn:aws:iam::123456789012:instance-profile/pull",
    "ClusterName": "cluster",
    "Throughput": "125",
    "Iops": "3000",
}
MACHINES = ("build_image_cache", "tune_volumes")
Answers = dict[str, Any]


def read(name: str) -> dict[str, Any]:
    """A definition as deployed."""
    text = json.dumps(yaml.safe_load((ROOT / f"statemachines/{name}.asl.yaml").read_text(encoding="utf-8")))
    for key, value in SUBSTITUTIONS.items():
        text = text.replace(f"${{{key}}}", value)
    definition: dict[str, Any] = json.loads(text)
    return definition


def failure(action: str, code: str = "UnauthorizedOperation") -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": f"no {action}"},
            "ResponseMetadata": {"HTTPStatusCode": 403, "RequestId": "1"},  # type: ignore[typeddict-item]
        },
        action,
    )


class NotedAws:
    """Answers by the table and keeps what was asked."""

    def __init__(self, answers: Answers) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._answers = {name: iter(it) if isinstance(it, list) else it for name, it in answers.items()}

    def __getattr__(self, action: str) -> Callable[..., Any]:
        def call(**parameters: Any) -> Any:
            self.calls.append((action, parameters))
            answer = self._answers.get(action, {})
            answer = next(answer) if isinstance(answer, Iterator) else answer
            if isinstance(answer, Exception):
                raise answer
            return json.loads(json.dumps(answer))

        return call

    def named(self, action: str) -> list[dict[str, Any]]:
        return [parameters for name, parameters in self.calls if name == action]


class Execution(machines.Execution):
    """One execution that has ended, and what it asked of AWS."""

    def __init__(self, aws: NotedAws, description: dict[str, Any], events: list[dict[str, Any]]) -> None:
        super().__init__(description, events)
        self.aws = aws
        self.status = description["status"]
        self.output = json.loads(description.get("output") or "null")
        self.error = description.get("error")
        self.cause = description.get("cause")


Run = Callable[..., Execution]
PATIENCE = 3
"""How often what AWS does not get done is asked for here; the definitions have more of it."""


@pytest.fixture(scope="module")
def step_functions() -> Iterator[Any]:
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        yield boto3.client("stepfunctions", "us-east-1", aws_access_key_id="test", aws_secret_access_key="test")


def hasten(definition: dict[str, Any]) -> dict[str, Any]:
    """The definition without waiting, repeating (that is Step Functions' business) and patience."""
    for _, state in states_of(definition):
        if state["Type"] == "Wait":
            state["Seconds"] = 0
        for retry in state.get("Retry", []):
            retry["MaxAttempts"] = 0
        for choice in state.get("Choices", []):
            if choice.get("NumericGreaterThanEquals", 0) > PATIENCE:
                choice["NumericGreaterThanEquals"] = PATIENCE
    return definition


@pytest.fixture(scope="module")
def run(step_functions: Any) -> Iterator[Run]:
    arns: dict[str, str] = {}  # reading a definition takes longer than running it
    with pytest.MonkeyPatch.context() as patch:

        def run(machine: str, given: Any, answers: Answers) -> Execution:
            aws = NotedAws(answers)
            patch.setattr(state_task_service_aws_sdk, "boto_client_for", lambda **_: aws)
            if machine not in arns:
                text, role = json.dumps(hasten(read(machine))), "arn:aws:iam::123456789012:role/ops"
                made = step_functions.create_state_machine(name=machine, definition=text, roleArn=role)
                arns[machine] = made["stateMachineArn"]
            asked = {"stateMachineArn": arns[machine], "name": uuid4().hex, "input": json.dumps(given)}
            execution = step_functions.start_execution(**asked)
            description = wait_for(step_functions, execution["executionArn"])
            history = step_functions.get_execution_history(executionArn=execution["executionArn"], maxResults=1000)
            return Execution(aws, description, history["events"])

        yield run


def wait_for(client: Any, arn: str) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        description = cast("dict[str, Any]", client.describe_execution(executionArn=arn))
        if description["status"] != "RUNNING":
            return description
        time.sleep(0.01)
    raise TimeoutError(arn)


INSTANCE = {"InstanceId": "i-1", "State": {"Name": "stopped"}}
GOOD: Answers = {
    "run_instances": {"Instances": [INSTANCE]},
    "describe_instance_information": {"InstanceInformationList": [{"PingStatus": "Online"}]},
    "send_command": {"Command": {"CommandId": "c-1"}},
    "get_command_invocation": {"Status": "Success", "StandardErrorContent": ""},
    "describe_instances": {"Reservations": [{"Instances": [INSTANCE]}]},
    "describe_volumes": {"Volumes": [{"VolumeId": "vol-1"}]},
    "create_snapshot": {"SnapshotId": "snap-1"},
    "describe_snapshots": {"Snapshots": [{"State": "completed"}]},
}


# The image cache


def test_an_image_cache_is_a_snapshot_of_a_stopped_instance_that_pulled_all_images(run: Run) -> None:
    execution = run("build_image_cache", {"images": ["a/runtime:1", "b/agent:2"]}, GOOD)
    assert "SUCCEEDED" == execution.status
    assert {"snapshot_id": "snap-1", "size_gib": 60, "images": ["a/runtime:1", "b/agent:2"]} == execution.output
    names = [name for name, _ in execution.aws.calls]
    assert names.index("stop_instances") < names.index("create_snapshot") < names.index("terminate_instances")
    assert [{"InstanceIds": ["i-1"]}] == execution.aws.named("terminate_instances")
    assert [] == execution.aws.named("delete_snapshot")


def test_the_instance_is_bottlerocket_with_the_wanted_disk_in_the_wanted_subnet(run: Run) -> None:
    given = {"images": ["a"], "size_gib": 100, "subnet": "subnet-9", "architecture": "arm64"}
    (started,) = run("build_image_cache", given, GOOD).aws.named("run_instances")
    assert started["ImageId"].endswith("bottlerocket/aws-k8s-1.35/arm64/latest/image_id")
    assert "m6g.large" == started["InstanceType"]
    assert "subnet-9" == started["SubnetId"]
    (disk,) = started["BlockDeviceMappings"]
    assert ("/dev/xvdb", 100) == (disk["DeviceName"], disk["Ebs"]["VolumeSize"])
    assert "required" == started["MetadataOptions"]["HttpTokens"]
    assert re.fullmatch(r"[0-9a-f]{40}", started["ClientToken"])


def test_images_are_pulled_by_the_instances_own_role_and_quoted(run: Run) -> None:
    sent = run("build_image_cache", {"images": ["a;reboot", 'b"c']}, GOOD).aws.named("send_command")
    commands = [command for parameters in sent for command in parameters["Parameters"]["commands"]]
    assert [' --source="a;reboot" ', r' --source="b\"c" '] == [
        found[0] for found in (re.search(r' --source=".*?(?<!\\)" ', command) for command in commands) if found
    ]
    assert all("password" not in command.lower() for command in commands)


def test_a_snapshot_tells_what_it_is_by_its_tags(run: Run) -> None:
    (made,) = run("build_image_cache", {"images": ["a:1"]}, GOOD).aws.named("create_snapshot")
    tags = {tag["Key"]: tag["Value"] for tag in made["TagSpecifications"][0]["Tags"]}
    assert "vol-1" == made["VolumeId"]
    assert ("ops", "a:1") == (tags["darkroom:image-cache"], tags["darkroom:image"])


def test_slow_instances_pulls_stops_and_copies_are_waited_for(run: Run) -> None:
    answers = GOOD | {
        "describe_instance_information": [
            {"InstanceInformationList": []},
            {"InstanceInformationList": [{"PingStatus": "ConnectionLost"}]},
            GOOD["describe_instance_information"],
        ],
        "get_command_invocation": [
            {"Status": status, "StandardErrorContent": ""}
            for status in ("Pending", "InProgress", "Delayed", "Success")
        ],
        "describe_instances": [
            {"Reservations": [{"Instances": [{"State": {"Name": name}}]}]} for name in ("stopping", "stopped")
        ],
        "describe_snapshots": [{"Snapshots": [{"State": state}]} for state in ("pending", "completed")],
    }
    execution = run("build_image_cache", {"images": ["a"]}, answers)
    assert "SUCCEEDED" == execution.status
    assert 3 == execution.entered.count("FindAgent")
    assert 4 == execution.entered.count("AskForPull")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "no images"),
        ({"images": []}, "no images"),
        ({"images": ["a"], "size_gib": 1}, "too small for an image"),
        ({"images": ["a"], "size_gib": "60"}, "no number"),
    ],
)
def test_a_request_that_makes_no_sense_starts_nothing(run: Run, given: dict[str, Any], reason: str) -> None:
    execution = run("build_image_cache", given, GOOD)
    assert ("FAILED", "Darkroom.InvalidRequest") == (execution.status, execution.error), reason
    assert [] == execution.aws.calls


@pytest.mark.parametrize("image", ["a$(reboot)", "a`reboot`"])
def test_a_name_that_the_shell_would_run_is_refused(run: Run, image: str) -> None:
    execution = run("build_image_cache", {"images": [image]}, GOOD)
    assert ("FAILED", "Darkroom.InvalidRequest") == (execution.status, execution.error)
    assert [] == execution.aws.named("send_command")
    assert [{"InstanceIds": ["i-1"]}] == execution.aws.named("terminate_instances")


ONE = {"images": ["a"]}
PENDING_PULL = {"Status": "Pending", "StandardErrorContent": ""}
FAILED_PULL = {"Status": "Failed", "StandardErrorContent": "not found"}
STILL_STOPPING = {"Reservations": [{"Instances": [{"State": {"Name": "stopping"}}]}]}


FAILURES: list[tuple[Answers, str | None, int]] = [
    ({"describe_instance_information": failure("describe")}, None, 0),
    ({"describe_instance_information": {"InstanceInformationList": []}}, "Darkroom.AgentNeverCame", 0),
    ({"send_command": failure("send")}, None, 0),
    ({"get_command_invocation": failure("get")}, None, 0),
    ({"get_command_invocation": FAILED_PULL}, "Darkroom.PullFailed", 0),
    ({"stop_instances": failure("stop")}, None, 0),
    ({"describe_instances": failure("describe")}, None, 0),
    ({"describe_instances": STILL_STOPPING}, "Darkroom.NeverStopped", 0),
    ({"describe_volumes": failure("describe")}, None, 0),
    ({"create_snapshot": failure("create")}, None, 0),
    ({"describe_snapshots": failure("describe")}, None, 1),
    ({"describe_snapshots": {"Snapshots": [{"State": "error"}]}}, "Darkroom.SnapshotFailed", 1),
    ({"describe_snapshots": failure("describe"), "delete_snapshot": failure("delete")}, None, 1),
]


@pytest.fixture(scope="module")
def failed(run: Run) -> list[Execution]:
    """What came of each failure."""
    return [run("build_image_cache", ONE, GOOD | answers) for answers, _, _ in FAILURES]


@pytest.mark.parametrize("number", range(len(FAILURES)))
def test_whatever_fails_leaves_neither_an_instance_nor_half_a_snapshot(
    failed: list[Execution], number: int
) -> None:
    execution, (_, error, snapshots_deleted) = failed[number], FAILURES[number]
    assert "FAILED" == execution.status
    assert error is None or error == execution.error
    assert execution.cause
    assert [{"InstanceIds": ["i-1"]}] == execution.aws.named("terminate_instances")
    assert snapshots_deleted == len(execution.aws.named("delete_snapshot"))


def test_a_failed_pull_says_which_image_and_why(run: Run) -> None:
    execution = run("build_image_cache", {"images": ["a/b:c"]}, GOOD | {"get_command_invocation": FAILED_PULL})
    assert "a/b:c was not pulled (Failed) not found" == execution.cause


def test_an_instance_that_does_not_start_leaves_nothing_to_clean_up(run: Run) -> None:
    execution = run("build_image_cache", {"images": ["a"]}, GOOD | {"run_instances": failure("run")})
    assert "FAILED" == execution.status
    assert ["run_instances"] == [name for name, _ in execution.aws.calls]


def test_what_failed_first_is_told_even_where_cleaning_up_fails_too(run: Run) -> None:
    answers = GOOD | {"get_command_invocation": FAILED_PULL, "terminate_instances": failure("terminate")}
    execution = run("build_image_cache", {"images": ["a"]}, answers)
    assert "Darkroom.PullFailed" == execution.error


def test_a_good_snapshot_is_told_even_where_its_instance_stays(run: Run) -> None:
    answers = GOOD | {"terminate_instances": failure("terminate")}
    execution = run("build_image_cache", {"images": ["a"]}, answers)
    assert ("snap-1", "i-1") == (execution.output["snapshot_id"], execution.output["instance_left_running"])


# Volumes

STARTED = {"detail": {"instance-id": "i-9", "state": "running"}}
VOLUMES = [
    {"VolumeId": "vol-fast", "Throughput": 1000, "Iops": 4000},
    {"VolumeId": "vol-iops", "Throughput": 125, "Iops": 4000},
    {"VolumeId": "vol-plain", "Throughput": 125, "Iops": 3000},
]
OURS: Answers = {
    "describe_instances": {"Reservations": [{"Instances": [{"InstanceId": "i-9"}]}]},
    "describe_volumes": {"Volumes": VOLUMES},
    "modify_volume": [{"VolumeModification": {"VolumeId": name}} for name in ("vol-fast", "vol-iops")],
}


def test_fast_volumes_of_our_own_nodes_are_set_back_and_the_others_left_alone(run: Run) -> None:
    execution = run("tune_volumes", STARTED, OURS)
    changed = sorted(parameters["VolumeId"] for parameters in execution.aws.named("modify_volume"))
    assert ["vol-fast", "vol-iops"] == changed
    assert {(125, 3000)} == {(it["Throughput"], it["Iops"]) for it in execution.aws.named("modify_volume")}
    assert [True, True, False] == [volume["tuned"] for volume in execution.output["volumes"]]


def test_volumes_are_left_fast_for_five_minutes() -> None:
    assert 300 == read("tune_volumes")["States"]["LetItLoad"]["Seconds"]


def test_an_instance_that_is_not_ours_is_left_alone(run: Run) -> None:
    execution = run("tune_volumes", STARTED, OURS | {"describe_instances": {"Reservations": []}})
    assert "SUCCEEDED" == execution.status
    assert ["describe_instances"] == [name for name, _ in execution.aws.calls]


def test_ours_are_found_by_the_tags_that_karpenter_gives(run: Run) -> None:
    execution = run("tune_volumes", STARTED, OURS)
    (asked,) = execution.aws.named("describe_instances")
    assert {
        "instance-id": ["i-9"],
        "tag:eks:eks-cluster-name": ["cluster"],
        "tag-key": ["karpenter.sh/nodepool"],
    } == {it["Name"]: it["Values"] for it in asked["Filters"]}


def test_an_instance_that_is_gone_has_no_volumes_to_tune(run: Run) -> None:
    execution = run("tune_volumes", STARTED, OURS | {"describe_volumes": {"Volumes": []}})
    assert {"volumes": []} == execution.output


def test_a_volume_that_cannot_be_tuned_keeps_no_other_from_it(run: Run) -> None:
    answers = OURS | {"modify_volume": [failure("modify"), {"VolumeModification": {"VolumeId": "vol-iops"}}]}
    execution = run("tune_volumes", STARTED, answers)
    assert [False, False, True] == sorted(volume["tuned"] for volume in execution.output["volumes"])
    assert 1 == sum("cause" in volume for volume in execution.output["volumes"])


@pytest.mark.parametrize("action", ["describe_instances", "describe_volumes"])
def test_an_aws_that_does_not_answer_is_a_failure(run: Run, action: str) -> None:
    assert "FAILED" == run("tune_volumes", STARTED, OURS | {action: failure(action)}).status


# Both


JOURNEYS: dict[str, list[tuple[Any, Answers]]] = {
    "build_image_cache": [
        (ONE, GOOD),
        ({"images": ["a"], "architecture": "arm64"}, GOOD | {"terminate_instances": failure("terminate")}),
        ({}, GOOD),
        ({"images": ["$"]}, GOOD),
        (ONE, GOOD | {"describe_snapshots": {"Snapshots": [{"State": "pending"}]}}),
        (ONE, GOOD | {"run_instances": failure("run")}),
        (ONE, GOOD | {"get_command_invocation": FAILED_PULL, "terminate_instances": failure("terminate")}),
        (ONE, GOOD | {"get_command_invocation": [PENDING_PULL, GOOD["get_command_invocation"]]}),
    ],
    "tune_volumes": [
        (STARTED, OURS),
        (STARTED, OURS | {"modify_volume": failure("modify")}),
        (STARTED, OURS | {"describe_instances": {"Reservations": []}}),
        (STARTED, OURS | {"describe_instances": failure("describe")}),
        (STARTED, OURS | {"describe_volumes": failure("describe")}),
        (STARTED, OURS | {"describe_volumes": {"Volumes": [{"Throughput": 125, "Iops": 3000}]}}),
    ],
}


@pytest.mark.parametrize("machine", MACHINES)
def test_every_transition_is_made_on_some_way(machine: str, run: Run, failed: list[Execution]) -> None:
    journeys = [run(machine, given, answers) for given, answers in JOURNEYS[machine]]
    journeys += failed if machine == "build_image_cache" else []
    assert set() == machines.unvisited(machine, journeys)


def test_what_takes_long_is_waited_for_as_long_as_the_comments_say() -> None:
    states = read("build_image_cache")["States"]
    limits = {
        name: next(
            it["NumericGreaterThanEquals"] for it in states[name]["Choices"] if "NumericGreaterThanEquals" in it
        )
        for name in ("IsAgentThere", "IsStopped", "IsCopied")
    }
    assert 10 * 60 == limits["IsAgentThere"] * states["WaitForAgent"]["Seconds"]
    assert 20 * 60 == limits["IsStopped"] * states["WaitForStop"]["Seconds"]
    assert 4 * 3600 == limits["IsCopied"] * states["WaitForSnapshot"]["Seconds"]


@pytest.mark.parametrize("machine", MACHINES)
def test_every_state_says_what_it_is_for_and_every_call_is_repeated_and_caught(machine: str) -> None:
    for name, state in states_of(read(machine)):
        assert state.get("Comment"), name
        if state["Type"] == "Task":
            assert "Retry" in state or name == "StartSnapshot", name
            assert "Catch" in state or name in {"StartPull", "AskForPull"}, name  # the map around them catches


@pytest.mark.parametrize("machine", MACHINES)
def test_a_definition_uses_no_yaml_anchors(machine: str) -> None:
    # CloudFormation reads the file itself, and knows none
    tokens = yaml.scan((ROOT / f"statemachines/{machine}.asl.yaml").read_text(encoding="utf-8"))
    assert not [token for token in tokens if isinstance(token, yaml.AnchorToken | yaml.AliasToken)]
