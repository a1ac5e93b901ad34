"""Deployed stacks and the tap on their bus, against recorded answers of AWS."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from darkroom_cli.access import AwsAccess
from darkroom_cli.errors import AwsError, ConfigurationError
from darkroom_cli.event_taps import EventTap, Wanted
from darkroom_cli.stacks import find_stack

OUTPUTS = [
    {"OutputKey": "FrontApiEndpoint", "OutputValue": "https://x.execute-api.eu-west-1.amazonaws.com/prod/"},
    {"OutputKey": "EventBusName", "OutputValue": "darkroom"},
]
KEYS = [
    {"ResourceType": "AWS::S3::Bucket", "LogicalResourceId": "OutputBucket", "PhysicalResourceId": "b"},
    {"ResourceType": "AWS::ApiGateway::ApiKey", "LogicalResourceId": "OperatorKey", "PhysicalResourceId": "k1"},
    {"ResourceType": "AWS::ApiGateway::ApiKey", "LogicalResourceId": "FrontApiApiKey", "PhysicalResourceId": "k2"},
]


class Aws(AwsAccess):
    """An account that answers from a table, and remembers what it was asked."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        super().__init__("darkroom")
        object.__setattr__(self, "answers", {"describe_stacks": {"Stacks": [{"Outputs": OUTPUTS}]}, **answers})
        object.__setattr__(self, "asked", [])

    answers: dict[str, Any]
    asked: list[tuple[str, dict[str, Any]]]

    def client(self, service: str) -> Any:
        aws = self

        class Client:
            def __getattr__(self, name: str) -> Callable[..., Any]:
                def call(**arguments: Any) -> Any:
                    aws.asked.append((f"{service}.{name}", arguments))
                    answer = aws.answers.get(name, {})
                    if isinstance(answer, Exception):
                        raise answer
                    return answer(**arguments) if callable(answer) else answer

                return call

        return Client()


def refusal(message: str, code: str = "ValidationError") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "DescribeStacks")


@pytest.mark.parametrize(("operator", "key"), [(False, "value of k2"), (True, "value of k1")])
def test_a_stack_leads_to_its_api_and_to_the_right_key(operator: bool, key: str) -> None:  # noqa: FBT001
    aws = Aws(
        {
            "describe_stack_resources": {"StackResources": KEYS},
            "get_api_key": lambda apiKey, includeValue: {"value": f"value of {apiKey}"} if includeValue else {},  # noqa: N803
        }
    )

    access = find_stack(aws, operator=operator)

    assert (access.url, access.api_key) == ("https://x.execute-api.eu-west-1.amazonaws.com/prod", key)


@pytest.mark.parametrize(
    ("answers", "error", "says"),
    [
        (
            {"describe_stacks": refusal("Stack with id darkroom does not exist")},
            ConfigurationError,
            "no stack 'darkroom'",
        ),
        ({"describe_stacks": refusal("no", "AccessDenied")}, AwsError, "AWS refused DescribeStacks: no"),
        ({"describe_stacks": NoCredentialsError()}, AwsError, "credentials"),
        ({"describe_stacks": EndpointConnectionError(endpoint_url="https://x")}, AwsError, "cannot be reached"),
        ({"describe_stack_resources": {"StackResources": []}}, ConfigurationError, "no API of Darkroom's"),
    ],
)
def test_a_stack_that_is_not_found_says_why(answers: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        find_stack(Aws(answers))


TAP: dict[str, Any] = {
    "create_queue": {"QueueUrl": "https://queue"},
    "get_queue_attributes": {"Attributes": {"QueueArn": "arn:queue"}},
    "put_rule": {"RuleArn": "arn:rule"},
    "put_targets": {"FailedEntries": []},
    "receive_message": {"Messages": [{"Body": '{"detail-type": "TaskFailed"}', "ReceiptHandle": "r"}]},
}
CLEANED = ["events.remove_targets", "events.delete_rule", "sqs.delete_queue"]


def called(aws: Aws) -> Sequence[str]:
    return [name for name, _ in aws.asked]


def test_a_tap_hears_events_and_leaves_nothing_behind() -> None:
    aws = Aws(TAP)

    with EventTap(aws, Wanted(types=["TaskFailed"], details={"id": ["dog"], "runtime": []})) as tap:
        assert list(tap.take()) == [{"detail-type": "TaskFailed"}]

    assert called(aws)[-3:] == CLEANED
    (rule,) = [arguments for name, arguments in aws.asked if name == "events.put_rule"]
    assert (
        rule["EventPattern"] == '{"source": ["darkroom"], "detail-type": ["TaskFailed"], "detail": {"id": ["dog"]}}'
    )


def test_the_queue_takes_messages_of_its_rule_only() -> None:
    aws = Aws(TAP)

    with EventTap(aws, Wanted()):
        pass

    (policy,) = [it["Attributes"]["Policy"] for name, it in aws.asked if name == "sqs.set_queue_attributes"]
    assert '"aws:SourceArn": "arn:rule"' in policy


@pytest.mark.parametrize(
    ("fails", "undone"),
    [
        ("put_rule", ["sqs.delete_queue"]),
        ("set_queue_attributes", ["events.delete_rule", "sqs.delete_queue"]),
        ("put_targets", ["events.delete_rule", "sqs.delete_queue"]),
    ],
)
def test_a_tap_that_cannot_be_opened_undoes_what_was_done(fails: str, undone: list[str]) -> None:
    aws = Aws(TAP | {fails: refusal("no")})

    with pytest.raises(AwsError), EventTap(aws, Wanted()):
        pass

    assert called(aws)[-len(undone) :] == undone


def test_what_cannot_be_removed_does_not_keep_the_rest() -> None:
    aws = Aws(TAP | {"remove_targets": refusal("no")})

    with pytest.raises(AwsError), EventTap(aws, Wanted()):
        pass

    assert called(aws)[-3:] == CLEANED


def test_credentials_are_looked_for_once_for_all_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Mapping[str, str]] = []

    class Session:
        def __init__(self, **given: str) -> None:
            looked.append(given)

        def client(self, service: str, *, endpoint_url: str | None) -> tuple[str, str | None]:
            return service, endpoint_url

    monkeypatch.setattr(boto3, "Session", Session)
    aws = AwsAccess("darkroom", {"profile_name": "x"}, "http://localhost")

    assert [aws.client(name) for name in ("s3", "sqs")] == [("s3", "http://localhost"), ("sqs", "http://localhost")]
    assert looked == [{"profile_name": "x"}]
