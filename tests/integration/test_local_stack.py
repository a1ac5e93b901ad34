"""A SAM template becomes a running emulated AWS: one server process, real HTTP on loopback."""

import json
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.exceptions import ClientError

from darkroom_local.aws.policies import Access, is_allowed
from darkroom_local.aws.process import run_aws
from darkroom_local.resources import GatewayResponse, Schedule
from darkroom_local.stack import Stack, StackError, TemplateError, provision, provision_beside

TEMPLATES = Path(__file__).parent / "templates"
REGION = "us-east-1"


@pytest.fixture(scope="module")
def endpoint_url() -> Iterator[str]:
    with run_aws() as url:
        yield url


@pytest.fixture(scope="module")
def stack(endpoint_url: str) -> Stack:
    return provision(endpoint_url, TEMPLATES / "template.yaml", "darkroom", {"Level": "DEBUG"}, REGION)


def test_two_emulated_aws_at_once_give_different_ids(endpoint_url: str) -> None:
    with run_aws() as other:
        ids = []
        for url in (endpoint_url, other):
            sqs = boto3.client(
                "sqs", REGION, endpoint_url=url, aws_access_key_id="test", aws_secret_access_key="test"
            )
            queue = sqs.create_queue(QueueName="ids")["QueueUrl"]
            ids.append(sqs.send_message(QueueUrl=queue, MessageBody="same")["MessageId"])
    assert ids[0] != ids[1]


def test_an_emulated_aws_that_ended_leaves_its_port_which_no_second_one_can_have_before(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with run_aws() as url:
        port = urlsplit(url).port or 0
        with pytest.raises(RuntimeError, match="did not start"), run_aws(port):
            pass
        assert "in use" in capfd.readouterr().err
    with run_aws(port) as again:
        assert url == again


def test_an_execution_that_fails_tells_why_and_the_log_is_not_filled_with_its_definition(
    capfd: pytest.CaptureFixture[str],
) -> None:
    definition = {"StartAt": "Give", "States": {"Give": {"Type": "Fail", "Error": "GaveUp", "Cause": "No more."}}}
    with run_aws() as url:
        states = boto3.client(
            "stepfunctions", REGION, endpoint_url=url, aws_access_key_id="test", aws_secret_access_key="test"
        )
        machine = states.create_state_machine(
            name="giver", definition=json.dumps(definition), roleArn="arn:aws:iam::123456789012:role/states"
        )
        arn = states.start_execution(stateMachineArn=machine["stateMachineArn"])["executionArn"]
        until = monotonic() + 10
        while (execution := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
            assert monotonic() < until
            sleep(0.01)
    assert (execution["status"], execution["error"], execution["cause"]) == ("FAILED", "GaveUp", "No more.")
    assert capfd.readouterr().err == ""


class FunctionsHost(BaseHTTPRequestHandler):
    """Stands for the host of functions: answers `Invoke` with the event, and keeps it."""

    calls: list[tuple[str, str, Any]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.calls.append((self.path, self.headers.get("X-Amz-Invocation-Type", ""), json.loads(body)))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def calls(stack: Stack) -> Iterator[list[tuple[str, str, Any]]]:
    FunctionsHost.calls = []
    with ThreadingHTTPServer(("127.0.0.1", 0), FunctionsHost) as server:
        Thread(target=server.serve_forever, name="functions", daemon=True).start()
        stack.route_functions(f"http://127.0.0.1:{server.server_port}")
        yield FunctionsHost.calls
        server.shutdown()


def client_of(stack: Stack, service: str, credentials: Mapping[str, str]) -> Any:
    session: Any = boto3.Session(
        region_name=REGION,
        **{key.lower(): value for key, value in credentials.items()},  # type: ignore[arg-type]  # only credentials
    )
    return session.client(service, endpoint_url=stack.endpoint_url)


@pytest.fixture(scope="module")
def limited(stack: Stack) -> dict[str, str]:
    return stack.credentials(stack.functions[0].role_arn)


def receive(stack: Stack, queue_url: str, wanted: int = 1) -> list[Any]:
    sqs, deadline = stack.client("sqs"), monotonic() + 5
    messages: list[Any] = []
    while len(messages) < wanted and monotonic() < deadline:
        for message in sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages", []):
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
            messages.append(message)
        sleep(0.02)
    return messages


def write_template(folder: Path, resources: str, parameters: str = "{}") -> Path:
    path = folder / "template.yaml"
    path.write_text(f"Transform: AWS::Serverless-2016-10-31\nParameters: {parameters}\nResources: {resources}\n")
    return path


# What the local cloud hosts itself


def test_a_function_has_its_folder_role_limits_and_exactly_its_environment(stack: Stack) -> None:
    (function,) = stack.functions
    assert function.code == TEMPLATES / "function"
    assert {
        "LEVEL": "DEBUG",
        "BATCH": "5",
        "NOTES_URL": stack.client("sqs")
        .get_queue_url(QueueName="notes")["QueueUrl"]
        .replace(stack.endpoint_url, "https://sqs.us-east-1.amazonaws.com"),
        "SUFFIX": "aws.amazonaws.com",
    } == dict(function.environment)
    assert (function.timeout, function.memory, function.reserved_concurrency) == (20, 256, 4)
    assert function.role_arn.startswith("arn:aws:iam::")
    assert ":darkroom-DeadNotes-" in str(function.dead_letter_arn)


def test_the_event_sources_of_a_function_are_resolved_with_all_their_settings(stack: Stack) -> None:
    queue, stream = stack.event_sources
    assert (
        queue.source_arn,
        queue.batch_size,
        queue.window_seconds,
        queue.maximum_concurrency,
        queue.partial_failures,
    ) == ("arn:aws:sqs:us-east-1:123456789012:notes", 7, 2, 3, True)
    table = stack.client("dynamodb").describe_table(TableName=stack.outputs["TableName"])["Table"]
    assert table["LatestStreamArn"] == stream.source_arn
    assert (
        stream.starting_position,
        stream.maximum_retries,
        stream.bisect_on_error,
        stream.batch_size,
    ) == ("TRIM_HORIZON", 2, True, 100)
    assert stream.filters == ({"eventName": ["INSERT"]},)
    assert stream.on_failure_arn == stack.functions[0].dead_letter_arn


def test_a_schedule_has_its_rate_in_seconds_and_its_input(stack: Stack) -> None:
    assert (Schedule(stack.functions[0].name, 300, {"sweep": True}),) == stack.schedules


def test_a_rest_api_has_its_routes_keys_throttle_and_gateway_responses(stack: Stack) -> None:
    (api,) = stack.rest_apis
    name = stack.functions[0].name
    assert {("GET", "/notes/{id}", name, True), ("GET", "/health", name, False)} == {
        (route.method, route.path, route.function_name, route.key_required) for route in api.routes
    }
    assert (api.stage, api.rate, api.burst) == ("v1", 5, 9)
    ((value, id_),) = api.keys.items()
    assert len(value) == 40
    assert id_ in stack.outputs["KeyId"]
    assert {
        "INVALID_API_KEY": GatewayResponse(
            401, {"Content-Type": "application/problem+json"}, {"application/json": '{"title": "No key"}'}
        )
    } == api.responses
    assert f"https://{api.api_id}.execute-api.us-east-1.amazonaws.com/v1" == stack.outputs["ApiUrl"]


def test_moto_itself_runs_no_function_and_takes_no_message_from_its_queue(stack: Stack) -> None:
    assert stack.client("lambda").list_functions()["Functions"] == []
    assert stack.client("lambda").list_event_source_mappings()["EventSourceMappings"] == []


def test_an_api_key_does_not_show_in_the_representation_of_the_administrator(stack: Stack) -> None:
    assert stack.administrator["aws_secret_access_key"] not in repr(stack)


# What the emulator runs


def test_a_queue_exists_if_and_only_if_the_template_has_it(stack: Stack, endpoint_url: str, tmp_path: Path) -> None:
    only = "{Lonely: {Type: AWS::SQS::Queue, Properties: {QueueName: lonely}}}"
    with pytest.raises(ClientError, match="does not exist"):
        stack.client("sqs").get_queue_url(QueueName="lonely")
    other = provision(endpoint_url, write_template(tmp_path, only), "other", {}, REGION)
    assert other.client("sqs").get_queue_url(QueueName="lonely")["QueueUrl"].endswith("/lonely")
    assert other.functions == ()


def test_resource_types_without_effect_here_are_named_in_one_line_of_the_log(
    endpoint_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    odd = (
        "{Odd: {Type: AWS::Odd::Thing}, Second: {Type: AWS::Odd::Thing},"
        " Name: {Type: AWS::SSM::Parameter, Properties: {Type: String, Value: !GetAtt Odd.Arn}}}"
    )
    with caplog.at_level("DEBUG", logger="darkroom_local.stack"):
        provision(endpoint_url, write_template(tmp_path, odd), "odd", {}, REGION)
    (record,) = [it for it in caplog.records if it.name == "darkroom_local.stack"]
    assert record.__dict__["types"] == ["AWS::Odd::Thing"]


def test_a_topic_delivers_raw_and_only_what_a_subscriptions_filter_lets_through(stack: Stack) -> None:
    for runtime, priority in (("other", "high"), ("sdruntime", "low"), ("sdruntime", "high")):
        stack.client("sns").publish(
            TopicArn=stack.outputs["TopicArn"],
            Message=f'{{"for": "{runtime} {priority}"}}',
            MessageGroupId="owner",
            MessageAttributes={
                "runtime": {"DataType": "String", "StringValue": runtime},
                "priority": {"DataType": "String", "StringValue": priority},
            },
        )
    (message,) = receive(stack, stack.outputs["QueueUrl"])
    assert message["Body"] == '{"for": "sdruntime high"}'
    assert message["MessageAttributes"]["priority"]["StringValue"] == "high"
    assert stack.client("sqs").receive_message(QueueUrl=stack.outputs["QueueUrl"]).get("Messages", []) == []


def test_a_nested_application_is_a_stack_of_its_own_whose_outputs_its_parent_reads(stack: Stack) -> None:
    names = {it["StackName"] for it in stack.client("cloudformation").describe_stacks()["Stacks"]}
    assert any(name.startswith("darkroom-Runtimes-") for name in names)
    assert stack.outputs["QueueUrl"].endswith("/tasks-sdruntime")
    ssm = stack.client("ssm")
    greeting = ssm.get_parameter(Name=stack.outputs["GreetingName"])["Parameter"]["Value"]
    assert f"tasks go to {stack.outputs['QueueUrl']}" == greeting
    registration = ssm.get_parameter(Name="/darkroom/runtimes/sdruntime")["Parameter"]["Value"]
    assert json.loads(registration) == {"queue": "tasks-sdruntime", "literal": "${Runtime}"}


def test_a_further_stack_joins_the_first_ones_account_and_its_parts_are_hosted_too(
    stack: Stack, tmp_path: Path
) -> None:
    resources = (
        "{Queue: {Type: AWS::SQS::Queue},"
        " Feed: {Type: AWS::Lambda::EventSourceMapping,"
        " Properties: {EventSourceArn: !GetAtt Queue.Arn, FunctionName: !Ref Function}}}"
    )
    path = write_template(tmp_path, resources, "{Function: {Type: String}}")
    (function,) = stack.functions
    both = provision_beside(stack, path, "darkroom-further", {"Function": function.name})
    assert (stack.functions, stack.outputs) == (both.functions, both.outputs)
    (feed,) = (it for it in both.event_sources if it not in stack.event_sources)
    assert function.name == feed.function_name
    assert ":darkroom-further-Queue-" in feed.source_arn
    with pytest.raises(ClientError):
        client_of(both, "sqs", stack.credentials(function.role_arn)).list_queues()


def test_conditions_and_number_parameters_decide_as_on_aws(stack: Stack) -> None:
    sqs = stack.client("sqs")
    attributes = sqs.get_queue_attributes(QueueUrl=stack.outputs["QueueUrl"], AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "60"
    assert int(json.loads(attributes["RedrivePolicy"])["maxReceiveCount"]) == 3
    assert not [url for url in sqs.list_queues()["QueueUrls"] if "Impatient" in url]


def test_a_message_received_too_often_ends_in_the_dead_letter_queue(stack: Stack) -> None:
    sqs = stack.client("sqs")
    sqs.send_message(QueueUrl=stack.outputs["QueueUrl"], MessageBody="poison", MessageGroupId="owner")
    for _ in range(3):
        (message,) = sqs.receive_message(QueueUrl=stack.outputs["QueueUrl"], VisibilityTimeout=0)["Messages"]
        assert message["Body"] == "poison"
    assert "Messages" not in sqs.receive_message(QueueUrl=stack.outputs["QueueUrl"])
    dead = sqs.get_queue_url(QueueName="tasks-sdruntime-dead")["QueueUrl"]
    assert [it["Body"] for it in receive(stack, dead)] == ["poison"]


def test_a_table_has_its_index_its_time_to_live_and_a_stream_of_its_changes(stack: Stack) -> None:
    dynamodb, name = stack.client("dynamodb"), stack.outputs["TableName"]
    dynamodb.put_item(TableName=name, Item={"id": {"S": "a"}, "owner": {"S": "me"}})
    assert (
        dynamodb.query(
            TableName=name,
            IndexName="by-owner",
            KeyConditionExpression="#o = :o",
            ExpressionAttributeNames={"#o": "owner"},
            ExpressionAttributeValues={":o": {"S": "me"}},
        )["Count"]
        == 1
    )
    assert dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]["AttributeName"] == "ttl"
    streams, arn = stack.client("dynamodbstreams"), stack.event_sources[1].source_arn
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    iterator = streams.get_shard_iterator(
        StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    (record,) = streams.get_records(ShardIterator=iterator)["Records"]
    assert record["dynamodb"]["NewImage"]["owner"]["S"] == "me"


def test_a_rule_on_a_bus_reaches_its_queue_and_its_function(
    stack: Stack, calls: list[tuple[str, str, Any]]
) -> None:
    calls.clear()
    detail = {"id": "a", "text": "<source> and <time>"}
    for kind in ("TaskSucceeded", "TaskStarted"):
        stack.client("events").put_events(
            Entries=[
                {"EventBusName": "darkroom", "Source": "darkroom", "DetailType": kind, "Detail": json.dumps(detail)}
            ]
        )
    (message,) = receive(stack, stack.functions[0].environment["NOTES_URL"])
    event = json.loads(message["Body"])
    assert ("TaskSucceeded", "darkroom", "123456789012", detail) == (
        event["detail-type"],
        event["source"],
        event["account"],
        event["detail"],
    )
    deadline = monotonic() + 5
    while not calls and monotonic() < deadline:
        sleep(0.02)
    ((path, kind, invoked),) = calls
    assert f"/2015-03-31/functions/{stack.functions[0].name}/invocations" == path
    assert ("Event", detail) == (kind, invoked["detail"])


def test_a_state_machine_runs_with_its_role_and_invokes_the_hosted_function(
    stack: Stack, calls: list[tuple[str, str, Any]]
) -> None:
    calls.clear()
    states = stack.client("stepfunctions")
    execution = states.start_execution(stateMachineArn=stack.outputs["MachineArn"], input='{"note": "hello"}')
    deadline, found = monotonic() + 10, {"status": "RUNNING"}
    while found["status"] == "RUNNING" and monotonic() < deadline:
        sleep(0.05)
        found = states.describe_execution(executionArn=execution["executionArn"])
    assert (found["status"], json.loads(found["output"])) == ("SUCCEEDED", {"note": "hello"})
    assert [payload for _, _, payload in calls] == [{"note": "hello"}]
    assert [it["Body"] for it in receive(stack, stack.functions[0].environment["NOTES_URL"])] == ["hello"]


# Who may do what


def test_a_role_may_do_what_its_policy_says_on_the_resources_it_names(
    stack: Stack, limited: dict[str, str]
) -> None:
    notes = stack.functions[0].environment["NOTES_URL"]
    client_of(stack, "sqs", limited).send_message_batch(
        QueueUrl=notes, Entries=[{"Id": "1", "MessageBody": "allowed"}]
    )
    assert [it["Body"] for it in receive(stack, notes)] == ["allowed"]
    table, item = stack.outputs["TableName"], {"id": {"S": "b"}, "owner": {"S": "you"}}
    dynamodb = client_of(stack, "dynamodb", limited)
    dynamodb.transact_write_items(TransactItems=[{"Put": {"TableName": table, "Item": item}}])
    dynamodb.query(
        TableName=table,
        IndexName="by-owner",
        KeyConditionExpression="#o = :o",
        ExpressionAttributeNames={"#o": "owner"},
        ExpressionAttributeValues={":o": {"S": "you"}},
    )
    entry = {"EventBusName": "darkroom", "Source": "me", "DetailType": "Other", "Detail": "{}"}
    client_of(stack, "events", limited).put_events(Entries=[entry])


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        pytest.param("sqs", "purge_queue", {"QueueUrl": "notes"}, id="an action it lacks"),
        pytest.param("sqs", "send_message", {"QueueUrl": "tasks", "MessageBody": ""}, id="another queue"),
        pytest.param("dynamodb", "delete_item", {"TableName": "table", "Key": {"id": {"S": "a"}}}, id="JSON"),
        pytest.param(
            "dynamodb",
            "transact_write_items",
            {"TransactItems": [{"Delete": {"TableName": "table", "Key": {"id": {"S": "a"}}}}]},
            id="an action inside a transaction",
        ),
        pytest.param(
            "events",
            "put_events",
            {"Entries": [{"Source": "a", "DetailType": "b", "Detail": "{}"}]},
            id="another bus",
        ),
        pytest.param("sns", "publish", {"TopicArn": "topic", "Message": "no"}, id="XML"),
        pytest.param("ssm", "get_parameter", {"Name": "/darkroom/runtimes/sdruntime"}, id="a parameter"),
        pytest.param("sts", "assume_role", {"RoleArn": "role", "RoleSessionName": "other"}, id="becoming another"),
        pytest.param("lambda", "invoke", {"FunctionName": "function"}, id="REST"),
        pytest.param("s3", "list_objects_v2", {"Bucket": "bucket"}, id="a bucket"),
        pytest.param("s3", "get_object", {"Bucket": "bucket", "Key": "private/a"}, id="another key"),
    ],
)
def test_a_role_is_denied_what_its_policy_does_not_say(
    stack: Stack, limited: dict[str, str], service: str, operation: str, arguments: dict[str, Any]
) -> None:
    names = {
        "notes": stack.functions[0].environment["NOTES_URL"],
        "tasks": stack.outputs["QueueUrl"],
        "table": stack.outputs["TableName"],
        "topic": stack.outputs["TopicArn"],
        "role": stack.functions[0].role_arn,
        "bucket": stack.outputs["BucketName"],
    }
    resolved = json.loads(
        json.dumps(arguments),
        object_hook=lambda it: {k: names.get(v, v) if isinstance(v, str) else v for k, v in it.items()},
    )
    with pytest.raises(ClientError) as caught:
        getattr(client_of(stack, service, limited), operation)(**resolved)
    assert caught.value.response["Error"]["Code"] in {"AccessDenied", "AccessDeniedException"}
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in {400, 403}


def test_credentials_that_nobody_issued_are_refused(stack: Stack, limited: dict[str, str]) -> None:
    forged = {**limited, "AWS_SECRET_ACCESS_KEY": "forged"}
    with pytest.raises(ClientError, match="signature"):
        client_of(stack, "sqs", forged).list_queues()


def test_a_role_that_the_template_does_not_have_cannot_be_assumed(stack: Stack) -> None:
    with pytest.raises(ClientError, match="nobody"):
        stack.credentials("arn:aws:iam::123456789012:role/nobody")


def test_a_presigned_url_reads_what_its_signer_may_read(stack: Stack, limited: dict[str, str]) -> None:
    bucket = stack.outputs["BucketName"]

    def status_of(key: str, seconds: int = 60) -> int:
        stack.client("s3").put_object(Bucket=bucket, Key=key, Body=b"image")
        url = client_of(stack, "s3", limited).generate_presigned_url(
            "get_object", {"Bucket": bucket, "Key": key}, ExpiresIn=seconds
        )
        parts = urlsplit(url)
        connection = HTTPConnection(parts.netloc, timeout=5)
        connection.request("GET", f"{parts.path}?{parts.query}")
        status = connection.getresponse().status
        connection.close()
        return status

    assert (status_of("public/a"), status_of("private/a"), status_of("public/a", seconds=-1)) == (200, 403, 403)


def test_a_connection_serves_many_requests_with_and_without_a_body(stack: Stack) -> None:
    s3, bucket = stack.client("s3"), stack.outputs["BucketName"]
    for size in (0, 1, 3_000_000):
        s3.put_object(Bucket=bucket, Key=f"public/{size}", Body=b"x" * size)
        assert size == s3.head_object(Bucket=bucket, Key=f"public/{size}")["ContentLength"]
        assert size == len(s3.get_object(Bucket=bucket, Key=f"public/{size}")["Body"].read())
        s3.delete_object(Bucket=bucket, Key=f"public/{size}")


def test_a_connection_stays_open_after_a_response_whether_or_not_it_read_the_body(endpoint_url: str) -> None:
    connection = HTTPConnection(urlsplit(endpoint_url).netloc, timeout=5)
    connection.connect()
    socket = connection.sock
    for body in (None, b"ignored" * 10_000, None):
        connection.request("GET", "/darkroom/resources", body)
        assert isinstance(json.loads(connection.getresponse().read()), list)
    assert connection.sock is socket
    connection.close()


@pytest.mark.parametrize(
    ("allowed", "statements"),
    [
        pytest.param(True, [("Allow", "sqs:Send*", "arn:*:q?")], id="wildcards"),
        pytest.param(False, [("Allow", "sqs:Send", "arn:1:q1")], id="an action is matched as a whole"),
        pytest.param(True, [("Allow", "SQS:sendmessage", "*")], id="whatever the case of an action"),
        pytest.param(False, [("Allow", "*", "*"), ("Deny", "sqs:*", "arn:1:q1")], id="a deny wins"),
        pytest.param(True, [("Allow", "*", "*"), ("Deny", "sqs:*", "arn:1:q2")], id="of another resource"),
        pytest.param(False, [], id="nothing is allowed by itself"),
    ],
)
def test_a_policy_decides_as_on_aws(*, allowed: bool, statements: list[tuple[str, str, str]]) -> None:
    policy = [{"Effect": it[0], "Action": it[1], "Resource": it[2]} for it in statements]
    assert is_allowed(policy, Access("sqs:SendMessage", "arn:1:q1")) is allowed


def test_conditions_are_taken_as_met_by_an_allow_and_as_not_met_by_a_deny() -> None:
    condition = {"Bool": {"aws:SecureTransport": "false"}}
    policy = [
        {"Effect": effect, "Action": "*", "Resource": "*", "Condition": condition} for effect in ("Allow", "Deny")
    ]
    assert is_allowed(policy, Access("sqs:SendMessage", "arn:1:q1"))


# What goes wrong


@pytest.mark.parametrize(
    ("resources", "reason"),
    [
        pytest.param(
            "{Bad: {Type: AWS::SQS::Queue, Properties: {QueueName: 'a b'}}}",
            r"Bad \(AWS::SQS::Queue\): .*alphanumeric",
            id="moto refuses",
        ),
        pytest.param(
            "{Good: {Type: AWS::SNS::Topic, Properties: {TopicName: !Ref Missing}}}",
            r"Good \(AWS::SNS::Topic\): the template defines no 'Missing'",
            id="a reference to nothing",
        ),
        pytest.param(
            "{Outer: {Type: AWS::SNS::Topic, Properties: {DisplayName: !GetAtt Inner.Arn}},"
            " Inner: {Type: AWS::SQS::Queue, Properties: {QueueName: '!'}}}",
            r"Inner \(AWS::SQS::Queue\)",
            id="the cause, not what depends on it",
        ),
        pytest.param(
            "{Late: {Type: AWS::Scheduler::Schedule, Properties: {ScheduleExpression: 'cron(0 8 * * ? *)',"
            " Target: {Arn: 'arn:aws:lambda:us-east-1:1:function:f'}}}}",
            r"Late: cron.* is no fixed rate",
            id="a calendar",
        ),
    ],
)
def test_a_stack_that_cannot_be_created_says_which_resource_failed_and_why(
    endpoint_url: str, tmp_path: Path, resources: str, reason: str, request: pytest.FixtureRequest
) -> None:
    name = f"broken-{abs(hash(request.node.name))}"
    with pytest.raises(StackError, match=reason):
        provision(endpoint_url, write_template(tmp_path, resources), name, {}, REGION)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        pytest.param({"Level": "LOUD"}, "Level is 'LOUD', not one of DEBUG, INFO", id="not allowed"),
        pytest.param({"Colour": "red"}, "no parameter Colour", id="unknown"),
    ],
)
def test_a_parameter_that_the_template_does_not_take_is_an_error(given: dict[str, str], reason: str) -> None:
    with pytest.raises(TemplateError, match=reason):
        provision("http://127.0.0.1:1", TEMPLATES / "template.yaml", "wrong", given, REGION)


@pytest.mark.parametrize(
    ("resources", "reason"),
    [
        pytest.param(
            "{F: {Type: AWS::Serverless::Function, Properties: {Handler: a, CodeUri: nowhere}}}",
            "F: .*nowhere does not exist",
            id="no such folder",
        ),
        pytest.param("{F: {Type: AWS::Serverless::SimpleTable, Properties: {Odd: 1}}}", "Odd", id="SAM refuses"),
    ],
)
def test_a_template_that_sam_cannot_translate_is_an_error(tmp_path: Path, resources: str, reason: str) -> None:
    with pytest.raises(TemplateError, match=reason):
        provision("http://127.0.0.1:1", write_template(tmp_path, resources), "wrong", {}, REGION)


def test_a_parameter_without_a_default_has_to_be_given(tmp_path: Path) -> None:
    path = write_template(tmp_path, "{Q: {Type: AWS::SQS::Queue}}", "{Size: {Type: Number}}")
    with pytest.raises(TemplateError, match="parameter Size has no value"):
        provision("http://127.0.0.1:1", path, "wrong", {}, REGION)
