"""Event sources pump queues, streams and schedules into functions, as Lambda does."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

from darkroom_local.events.batches import reported_failures
from darkroom_local.events.patterns import Filters
from darkroom_local.events.queues import QueueSource
from darkroom_local.events.sources import EventSources
from darkroom_local.functions.host import FunctionHost
from darkroom_local.functions.invocations import ClientFactory, Invocation, Kind, ThrottledError
from darkroom_local.resources import EventSource, Function, Schedule

TOYS = Path(__file__).parent / "toys"
ACCOUNT = "123456789012"
DEAD_LETTERS = f"arn:aws:sqs:us-east-1:{ACCOUNT}:given-up"

Record = dict[str, Any]
Answer = Callable[[list[Record]], Any]


@dataclass
class Recorder:
    """Stands in for the functions: keeps what it is invoked with and answers as told."""

    answer: Answer = lambda _: None
    calls: list[tuple[str, dict[str, Any], Kind]] = field(default_factory=list)

    async def invoke(self, function_name: str, payload: bytes, *, kind: Kind = "RequestResponse") -> Invocation:
        event = json.loads(payload)
        self.calls.append((function_name, event, kind))
        answer = self.answer(event.get("Records", []))
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Invocation):
            return answer
        return Invocation("request", json.dumps(answer).encode())

    @property
    def batches(self) -> list[list[str]]:
        """What identifies the records of each call: a message's body, an item's key."""
        return [[identify(record) for record in event["Records"]] for _, event, _ in self.calls]


FAILED = Invocation.failed("request", "ValueError", "no luck")


def identify(record: Record) -> str:
    return str(record["body"] if "body" in record else record["dynamodb"]["Keys"]["id"]["S"])


def item_failures(records: list[Record], *poison: str) -> dict[str, Any]:
    """An answer that reports the first of the poisonous records, or all of a queue's."""
    key = (lambda record: record["messageId"]) if "body" in records[0] else stream_position
    return {
        "batchItemFailures": [{"itemIdentifier": key(record)} for record in records if identify(record) in poison]
    }


def stream_position(record: Record) -> Any:
    return record["dynamodb"]["SequenceNumber"]


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def clients() -> Iterator[ClientFactory]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    session = boto3.session.Session("test", "test", region_name="us-east-1")
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=20)
    yield partial(session.client, endpoint_url=f"http://{host}:{port}", config=config)
    server.stop()


@dataclass
class Queue:
    sqs: Any
    url: str
    arn: str

    async def send(self, *bodies: str, **attributes: Mapping[str, Any]) -> None:
        for start in range(0, len(bodies), 10):
            entries = [
                {"Id": str(index), "MessageBody": body, "MessageAttributes": attributes}
                for index, body in enumerate(bodies[start : start + 10])
            ]
            await asyncio.to_thread(self.sqs.send_message_batch, QueueUrl=self.url, Entries=entries)

    async def receive(self) -> Any:
        answer = await asyncio.to_thread(self.sqs.receive_message, QueueUrl=self.url, WaitTimeSeconds=10)
        await asyncio.to_thread(
            self.sqs.delete_message, QueueUrl=self.url, ReceiptHandle=answer["Messages"][0]["ReceiptHandle"]
        )
        return json.loads(answer["Messages"][0]["Body"])

    def left(self) -> int:
        """Messages in the queue, those in flight included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)


@pytest.fixture
def queue(clients: ClientFactory) -> Queue:
    sqs, name = clients("sqs"), f"queue-{uuid.uuid4().hex[:8]}"
    url = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "1"})["QueueUrl"]
    return Queue(sqs, url, f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}")


@pytest.fixture
def given_up(clients: ClientFactory) -> Queue:
    sqs = clients("sqs")
    return Queue(sqs, sqs.create_queue(QueueName="given-up")["QueueUrl"], DEAD_LETTERS)


@dataclass
class Table:
    dynamodb: Any
    name: str
    stream_arn: str

    async def put(self, *ids: str, **attributes: Any) -> None:
        for item_id in ids:
            item = {"id": {"S": item_id}, **attributes}
            await asyncio.to_thread(self.dynamodb.put_item, TableName=self.name, Item=item)


@pytest.fixture
def table(clients: ClientFactory) -> Table:
    dynamodb, name = clients("dynamodb"), f"table-{uuid.uuid4().hex[:8]}"
    created = dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    return Table(dynamodb, name, created["TableDescription"]["LatestStreamArn"])


@pytest.fixture
def pumping(clients: ClientFactory) -> Callable[..., Any]:
    @asynccontextmanager
    async def pump(
        recorder: Recorder,
        *sources: EventSource,
        schedules: tuple[Schedule, ...] = (),
        lines: list[str] | None = None,
    ) -> AsyncIterator[None]:
        log = [] if lines is None else lines
        async with EventSources(
            sources,
            schedules,
            invoke=recorder.invoke,
            client=clients,
            log=lambda name, line: log.append(f"{name}: {line}"),
        ):
            yield

    return pump


Pumping = Callable[..., Any]


# --- queues -----------------------------------------------------------------------------------------------------


async def test_a_message_reaches_the_function_as_lambda_shapes_it_and_leaves_the_queue(
    queue: Queue, pumping: Pumping
) -> None:
    recorder = Recorder()
    async with pumping(recorder, EventSource("toy", queue.arn)):
        await queue.send("hello", runtime={"DataType": "String", "StringValue": "sd"})
        await until(lambda: recorder.calls)
        await until(lambda: queue.left() == 0)
    ((function_name, event, kind),) = recorder.calls
    (record,) = event["Records"]
    assert (function_name, kind) == ("toy", "RequestResponse")
    assert record["body"] == "hello"
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"] == queue.arn
    assert record["awsRegion"] == "us-east-1"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert {"SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"} <= record["attributes"].keys()
    assert record["messageAttributes"] == {
        "runtime": {"stringValue": "sd", "stringListValues": [], "binaryListValues": [], "dataType": "String"}
    }
    assert {"messageId", "receiptHandle", "md5OfBody"} <= record.keys()


async def test_only_the_messages_that_failed_come_back(queue: Queue, pumping: Pumping) -> None:
    attempts: list[str] = []

    def answer(records: list[Record]) -> Any:
        attempts.extend(identify(record) for record in records)
        return item_failures(records, "b") if attempts.count("b") < 2 else None

    recorder = Recorder(answer)
    await queue.send("a", "b", "c")
    async with pumping(recorder, EventSource("toy", queue.arn, partial_failures=True)):
        await until(lambda: len(recorder.calls) == 2 and queue.left() == 0)
    assert recorder.batches == [["a", "b", "c"], ["b"]]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(FAILED, id="the function failed"),
        pytest.param({"batchItemFailures": [{"itemIdentifier": "x"}]}, id="an identifier of no message"),
    ],
)
async def test_a_batch_that_fails_as_a_whole_comes_back_as_a_whole(
    queue: Queue, pumping: Pumping, answer: object
) -> None:
    answers = [answer]
    recorder = Recorder(lambda _: answers.pop() if answers else None)
    await queue.send("a", "b")
    async with pumping(recorder, EventSource("toy", queue.arn, partial_failures=True)):
        await until(lambda: sum(map(len, recorder.batches)) == 4 and queue.left() == 0)
    assert sorted(recorder.batches[0]) == ["a", "b"]


async def test_a_window_gathers_messages_until_it_closes_or_the_batch_is_full(
    queue: Queue, pumping: Pumping
) -> None:
    recorder = Recorder()
    source = EventSource("toy", queue.arn, batch_size=12, window_seconds=0.6)
    async with pumping(recorder, source):
        await queue.send("0")
        await queue.send("1", "2")
        await until(lambda: recorder.calls)
        assert recorder.batches == [["0", "1", "2"]]
        await queue.send(*(str(number) for number in range(14)))
        await until(lambda: len(recorder.calls) == 3)
    assert [len(batch) for batch in recorder.batches] == [3, 12, 2]


async def test_messages_that_no_filter_lets_pass_are_deleted_unseen(queue: Queue, pumping: Pumping) -> None:
    recorder = Recorder()
    filters = ({"body": {"metadata": {"runtime": ["sd", {"prefix": "comfy"}]}}},)
    bodies = [json.dumps({"metadata": {"runtime": name}}) for name in ("sd", "other", "comfy-2")]
    await queue.send(*bodies, "no JSON")
    async with pumping(recorder, EventSource("toy", queue.arn, filters=filters)):
        await until(lambda: queue.left() == 0)
    assert recorder.batches == [[bodies[0], bodies[2]]]


async def test_no_more_batches_run_at_once_than_maximum_concurrency_allows(queue: Queue, pumping: Pumping) -> None:
    running, most = 0, 0

    @dataclass
    class Slow(Recorder):
        async def invoke(self, function_name: str, payload: bytes, *, kind: Kind = "RequestResponse") -> Invocation:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.1)
            running -= 1
            return await super().invoke(function_name, payload, kind=kind)

    recorder = Slow()
    await queue.send(*"abcdef")
    async with pumping(recorder, EventSource("toy", queue.arn, batch_size=1, maximum_concurrency=2)):
        await until(lambda: len(recorder.calls) == 6)
    assert most == 2


async def test_a_throttled_batch_goes_back_to_its_queue(queue: Queue, pumping: Pumping) -> None:
    answers: list[Any] = [ThrottledError("Rate Exceeded.")]
    recorder, lines = Recorder(lambda _: answers.pop() if answers else None), list[str]()
    source = EventSource("toy", queue.arn)
    await queue.send("a")
    async with pumping(recorder, source, lines=lines):
        await until(lambda: len(recorder.calls) == 2 and queue.left() == 0)
    assert recorder.batches == [["a"], ["a"]]
    assert len(lines) == 1
    assert lines[0].endswith("a batch of 1 goes back to the queue: Rate Exceeded.")


async def test_a_poller_that_dies_is_reported_and_started_again(
    queue: Queue, pumping: Pumping, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect, deaths = QueueSource._collect, [OSError("the emulator went away")]

    async def dying(self: QueueSource) -> list[dict[str, Any]]:
        if deaths:
            raise deaths.pop()
        return await collect(self)

    monkeypatch.setattr(QueueSource, "_collect", dying)
    recorder, lines = Recorder(), list[str]()
    await queue.send("a")
    async with pumping(recorder, EventSource("toy", queue.arn), lines=lines):
        await until(lambda: recorder.calls)
    assert any("OSError('the emulator went away'); starting again" in line for line in lines)


async def test_a_message_runs_a_real_function(queue: Queue, clients: ClientFactory, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("def handler(event, context):\n    print(event['Records'][0]['body'])\n")
    function = Function("toy", "arn", "app.handler", tmp_path, "role", timeout=10)
    lines: list[str] = []
    async with (
        FunctionHost(
            [function],
            endpoint_url="http://127.0.0.1:1",
            region="us-east-1",
            credentials=lambda _: {},
            client=clients,
            log=lambda _, line: lines.append(line),
        ) as host,
        EventSources(
            [EventSource("toy", queue.arn)],
            invoke=host.invoke,
            client=clients,
            log=lambda _, line: lines.append(line),
        ),
    ):
        await queue.send("from the queue")
        await until(lambda: lines)
    assert lines == ["from the queue"]


@pytest.mark.parametrize(
    ("answer", "failures"),
    [
        pytest.param("", set(), id="no answer"),
        pytest.param("null", set(), id="null"),
        pytest.param("{}", set(), id="an empty object"),
        pytest.param('{"batchItemFailures": []}', set(), id="an empty list"),
        pytest.param('{"batchItemFailures": null}', set(), id="no list"),
        pytest.param('{"batchItemFailures": [{"itemIdentifier": "a"}]}', {"a"}, id="one"),
        pytest.param('{"batchItemFailures": [{"itemIdentifier": ""}]}', None, id="an empty identifier"),
        pytest.param('{"batchItemFailures": [{"itemIdentifier": null}]}', None, id="null as identifier"),
        pytest.param('{"batchItemFailures": [{"id": "a"}]}', None, id="another key"),
        pytest.param("no JSON", None, id="no JSON"),
    ],
)
def test_a_report_of_failures_is_read_as_lambda_reads_it(answer: str, failures: set[str] | None) -> None:
    assert reported_failures(answer.encode()) == failures


# --- streams ----------------------------------------------------------------------------------------------------


async def test_changes_reach_the_function_in_order_as_lambda_shapes_them(table: Table, pumping: Pumping) -> None:
    recorder = Recorder()
    async with pumping(recorder, EventSource("toy", table.stream_arn, batch_size=3)):
        await table.put(*(str(number) for number in range(8)), data={"B": b"\x00\xff"})
        await until(lambda: sum(map(len, recorder.batches)) == 8)
    assert [one for batch in recorder.batches for one in batch] == [str(number) for number in range(8)]
    assert max(map(len, recorder.batches)) <= 3
    record = recorder.calls[0][1]["Records"][0]
    assert record["eventName"] == "INSERT"
    assert record["eventSource"] == "aws:dynamodb"
    assert record["eventSourceARN"] == table.stream_arn
    assert record["dynamodb"]["NewImage"] == {"id": {"S": "0"}, "data": {"B": "AP8="}}
    assert time.time() - record["dynamodb"]["ApproximateCreationDateTime"] < 60


@pytest.mark.parametrize(("position", "seen"), [("TRIM_HORIZON", ["old", "new"]), ("LATEST", ["new"])])
async def test_the_starting_position_decides_on_what_was_there_before(
    table: Table, pumping: Pumping, position: str, seen: list[str]
) -> None:
    await table.put("old")
    recorder = Recorder()
    async with pumping(recorder, EventSource("toy", table.stream_arn, starting_position=position)):
        await table.put("new")
        await until(lambda: sum(map(len, recorder.batches)) == len(seen))
    assert [one for batch in recorder.batches for one in batch] == seen


async def test_a_window_gathers_changes(table: Table, pumping: Pumping) -> None:
    recorder = Recorder()
    async with pumping(recorder, EventSource("toy", table.stream_arn, window_seconds=0.6)):
        await table.put("a", "b", "c")
        await until(lambda: recorder.calls)
    assert recorder.batches == [["a", "b", "c"]]


async def test_changes_that_no_filter_lets_pass_and_writes_that_change_nothing_are_skipped(
    table: Table, pumping: Pumping
) -> None:
    recorder = Recorder()
    filters = ({"eventName": ["INSERT", "MODIFY"], "dynamodb": {"NewImage": {"status": {"S": ["new"]}}}},)
    async with pumping(recorder, EventSource("toy", table.stream_arn, filters=filters)):
        await table.put("a", status={"S": "new"})
        await table.put("b", status={"S": "old"})
        await table.put("a", status={"S": "new"})
        await table.put("c", status={"S": "new"})
        await until(lambda: sum(map(len, recorder.batches)) == 2)
    assert [one for batch in recorder.batches for one in batch] == ["a", "c"]


async def test_a_batch_is_tried_again_from_the_first_record_that_failed(table: Table, pumping: Pumping) -> None:
    poison: list[tuple[str, ...]] = [("c",), ()]
    recorder = Recorder(lambda records: item_failures(records, *poison.pop(0)))
    source = EventSource("toy", table.stream_arn, starting_position="TRIM_HORIZON", partial_failures=True)
    await table.put(*"abcd")
    async with pumping(recorder, source):
        await until(lambda: len(recorder.calls) == 2)
    assert recorder.batches == [["a", "b", "c", "d"], ["c", "d"]]


async def test_bisecting_isolates_a_poisonous_record_and_the_others_pass(
    table: Table, given_up: Queue, pumping: Pumping
) -> None:
    taken: list[str] = []

    def answer(records: list[Record]) -> Any:
        ids = [identify(record) for record in records]
        if "c" in ids:
            return FAILED
        taken.extend(ids)
        return None

    source = EventSource(
        "toy",
        table.stream_arn,
        starting_position="TRIM_HORIZON",
        bisect_on_error=True,
        maximum_retries=1,
        on_failure_arn=given_up.arn,
    )
    await table.put(*"abcde")
    recorder = Recorder(answer)
    async with pumping(recorder, source):
        report = await given_up.receive()
        await until(lambda: len(taken) == 4)
    assert taken == ["a", "b", "d", "e"]
    # halves, and one retry of the record that was left alone: splitting uses none
    assert recorder.batches == [[*"abcde"], [*"ab"], [*"cde"], ["c"], ["c"], [*"de"]]
    positions = [stream_position(record) for _, event, _ in recorder.calls[3:4] for record in event["Records"]]
    assert report["requestContext"] == {
        "requestId": "request",
        "functionArn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:toy",
        "condition": "RetryAttemptsExhausted",
        "approximateInvokeCount": 4,
    }
    assert report["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    batch = report["DDBStreamBatchInfo"]
    assert batch["startSequenceNumber"] == batch["endSequenceNumber"] == positions[0]
    assert (batch["batchSize"], batch["streamArn"]) == (1, table.stream_arn)
    assert report["version"] == "1.0"


async def test_without_bisecting_the_whole_batch_is_given_up_after_its_retries(
    table: Table, given_up: Queue, pumping: Pumping
) -> None:
    recorder = Recorder(lambda records: FAILED if identify(records[0]) == "a" else None)
    source = EventSource(
        "toy",
        table.stream_arn,
        batch_size=2,
        starting_position="TRIM_HORIZON",
        maximum_retries=2,
        on_failure_arn=given_up.arn,
    )
    await table.put(*"abc")
    async with pumping(recorder, source):
        report = await given_up.receive()
        await until(lambda: len(recorder.calls) == 4)
    assert recorder.batches == [["a", "b"], ["a", "b"], ["a", "b"], ["c"]]
    assert report["DDBStreamBatchInfo"]["batchSize"] == 2
    assert report["requestContext"]["approximateInvokeCount"] == 3


async def test_records_that_grew_too_old_are_given_up(table: Table, given_up: Queue, pumping: Pumping) -> None:
    recorder = Recorder()
    source = EventSource(
        "toy",
        table.stream_arn,
        starting_position="TRIM_HORIZON",
        maximum_record_age=0,
        on_failure_arn=given_up.arn,
    )
    await table.put("a")
    async with pumping(recorder, source):
        report = await given_up.receive()
    assert recorder.calls == []
    assert report["requestContext"]["condition"] == "RecordAgeExceeded"
    assert "responseContext" not in report


async def test_a_throttled_function_gets_its_records_later_and_that_is_no_retry(
    table: Table, pumping: Pumping
) -> None:
    answers: list[Any] = [ThrottledError("Rate Exceeded."), ThrottledError("Rate Exceeded.")]
    recorder = Recorder(lambda _: answers.pop() if answers else None)
    source = EventSource("toy", table.stream_arn, starting_position="TRIM_HORIZON", maximum_retries=0)
    await table.put("a")
    async with pumping(recorder, source):
        await until(lambda: len(recorder.calls) == 3)
    assert recorder.batches == [["a"]] * 3


async def test_a_follower_that_dies_goes_on_where_it_was(table: Table, pumping: Pumping) -> None:
    answers: list[Any] = [None, RuntimeError("a bug"), None]
    recorder, lines = Recorder(lambda _: answers.pop(0)), list[str]()
    async with pumping(recorder, EventSource("toy", table.stream_arn), lines=lines):
        await table.put("a")
        await until(lambda: len(recorder.calls) == 1)
        await table.put("b")
        await until(lambda: len(recorder.calls) == 3)
    assert recorder.batches == [["a"], ["b"], ["b"]]
    assert any("RuntimeError('a bug'); starting again" in line for line in lines)


# --- schedules --------------------------------------------------------------------------------------------------


async def test_a_schedule_sends_an_event_at_its_rate(pumping: Pumping) -> None:
    recorder = Recorder()
    schedules = (Schedule("tick", 0.05), Schedule("own", 0.05, {"mine": True}))
    async with pumping(recorder, schedules=schedules):
        await until(lambda: len(recorder.calls) >= 6)
    events = {name: event for name, event, _ in recorder.calls}
    assert {kind for _, _, kind in recorder.calls} == {"Event"}
    assert events["own"] == {"mine": True}
    assert events["tick"]["detail-type"] == "Scheduled Event"
    assert events["tick"]["source"] == "aws.events"
    assert events["tick"]["detail"] == {}


# --- filters ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        pytest.param({"a": ["x", "y"]}, {"a": "y"}, {"a": "z"}, id="or"),
        pytest.param({"a": ["x"], "b": [1]}, {"a": "x", "b": 1}, {"a": "x", "b": 2}, id="and"),
        pytest.param({"a": [None]}, {"a": None}, {"a": "null"}, id="null"),
        pytest.param({"a": [""]}, {"a": ""}, {"a": "x"}, id="empty"),
        pytest.param({"a": [{"prefix": "ab"}]}, {"a": "abc"}, {"a": "cab"}, id="begins with"),
        pytest.param({"a": [{"suffix": ".png"}]}, {"a": "x.png"}, {"a": "png.x"}, id="ends with"),
        pytest.param({"a": [{"anything-but": ["x"]}]}, {"a": "y"}, {"a": "x"}, id="not"),
        pytest.param({"a": [{"anything-but": {"prefix": "x"}}]}, {"a": "y"}, {"a": "xy"}, id="does not begin with"),
        pytest.param({"a": [{"exists": True}]}, {"a": 1}, {"b": 1}, id="exists"),
        pytest.param({"a": [{"exists": False}]}, {"b": 1}, {"a": 1}, id="does not exist"),
        pytest.param({"a": [{"numeric": [">", 1, "<=", 5]}]}, {"a": 5}, {"a": 1}, id="a range of numbers"),
        pytest.param({"a": [{"equals-ignore-case": "Ab"}]}, {"a": "aB"}, {"a": "b"}, id="whatever the case"),
        pytest.param({"$or": [{"a": [1]}, {"b": [2]}]}, {"b": 2}, {"a": 2, "b": 1}, id="or, over fields"),
        pytest.param({"a": {"b": {"c": [1]}}}, {"a": {"b": {"c": 1}}}, {"a": {"b": {"d": 1}}}, id="nested"),
        pytest.param({"a": ["x"]}, {"a": ["x", "y"]}, {"a": ["y"]}, id="one of a list"),
    ],
)
def test_a_filter_pattern_means_what_lambda_documents(
    pattern: dict[str, Any], matching: dict[str, Any], other: dict[str, Any]
) -> None:
    as_record, as_body = Filters([pattern]), Filters([{"body": pattern}])
    assert (as_record.accept(matching), as_record.accept(other)) == (True, False)
    assert as_body.accept({"body": json.dumps(matching)})
    assert not as_body.accept({"body": json.dumps(other)})


def test_one_of_several_patterns_is_enough_and_none_at_all_lets_everything_pass() -> None:
    either = Filters([{"a": ["x"]}, {"a": ["y"]}])
    assert [either.accept({"a": value}) for value in "xyz"] == [True, True, False]
    assert Filters([]).accept({"a": "z"})


def test_a_body_that_is_text_is_matched_as_text_and_never_as_an_object() -> None:
    record = {"body": "hello"}
    assert Filters([{"body": ["hello"]}]).accept(record)
    assert not Filters([{"body": {"a": [{"exists": False}]}}]).accept(record)
    assert Filters([{"messageAttributes": {"runtime": {"stringValue": ["sd"]}}}]).accept(
        {**record, "messageAttributes": {"runtime": {"stringValue": "sd"}}}
    )
