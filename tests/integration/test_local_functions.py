"""Functions run in AWS's runtime interface client, as Lambda runs them."""

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from darkroom_local.functions.host import FunctionHost
from darkroom_local.functions.invocations import (
    ClientFactory,
    FunctionNotFoundError,
    Invocation,
    InvokeError,
    Limits,
    RequestTooLargeError,
    ThrottledError,
)
from darkroom_local.resources import Function

TOYS = Path(__file__).parent / "toys"
ROLE = "arn:aws:iam::123456789012:role/toy"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}

Lines = list[tuple[str, str]]


def toy(handler: str) -> Function:
    module, _, name = handler.rpartition(".")
    return Function(
        name=name,
        arn=f"arn:aws:lambda:us-east-1:123456789012:function:{name}",
        handler=f"{module or 'toys'}.{name}",
        code=TOYS,
        role_arn=ROLE,
        timeout=10,
    )


def clients(endpoint_url: str) -> ClientFactory:
    return partial(
        boto3.client,
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}),
    )


@asynccontextmanager
async def hosting(
    *functions: Function,
    lines: Lines | None = None,
    endpoint_url: str = "http://127.0.0.1:1",
    limits: Limits | None = None,
) -> AsyncIterator[FunctionHost]:
    log = [] if lines is None else lines
    async with FunctionHost(
        functions,
        endpoint_url=endpoint_url,
        region="us-east-1",
        credentials=lambda _: CREDENTIALS,
        client=clients(endpoint_url),
        log=lambda name, line: log.append((name, line)),
        limits=limits,
    ) as host:
        yield host


async def call(host: FunctionHost, name: str, **event: object) -> dict[str, Any]:
    invocation = await host.invoke(name, json.dumps(event).encode())
    assert invocation.function_error is None, invocation
    answer: dict[str, Any] = json.loads(invocation.payload)
    return answer


def error_of(invocation: Invocation) -> tuple[str, str]:
    assert invocation.function_error == "Unhandled"
    error = json.loads(invocation.payload)
    return error["errorType"], error["errorMessage"]


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.01)


def printed_pid(lines: Lines) -> int:
    return next((int(line.split()[1]) for _, line in lines if line.startswith("pid ")), 0)


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


async def test_a_function_sees_the_templates_environment_and_what_lambda_sets_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OF_THE_PARENT", "must not be inherited")
    template = {"TABLE": "tasks", "TZ": "CET", "AWS_REGION": "reserved"}
    function = replace(toy("show_environment"), environment=template, memory=256)
    async with hosting(function) as host:
        environment = await call(host, "show_environment")
    stream = environment.pop("AWS_LAMBDA_LOG_STREAM_NAME")
    assert environment.pop("_X_AMZN_TRACE_ID").startswith("Root=1-")
    assert environment.pop("AWS_LAMBDA_RUNTIME_API").startswith("127.0.0.1:")
    environment.pop("LC_CTYPE", None)  # the interpreter sets it itself where the system lacks the locale
    assert "/[$LATEST]" in stream
    assert environment == {
        **CREDENTIALS,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_NAME": "show_environment",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/show_environment",
        "AWS_REGION": "us-east-1",
        "LAMBDA_TASK_ROOT": str(TOYS),
        "LANG": "en_US.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "TABLE": "tasks",
        "TZ": "CET",
        "_HANDLER": "toys.show_environment",
    }


async def test_a_process_starts_in_the_functions_folder_and_serves_the_next_invocation_too() -> None:
    async with hosting(toy("show_process")) as host:
        first, second = await call(host, "show_process"), await call(host, "show_process")
    assert first["folder"] == str(TOYS)
    assert first["pid"] == second["pid"]
    assert 9000 < first["left"] <= 10000


async def test_invocations_at_the_same_time_run_in_processes_of_their_own_which_are_then_kept() -> None:
    async with hosting(toy("show_process")) as host:
        both = await asyncio.gather(*(call(host, "show_process", seconds=0.3) for _ in range(2)))
        third = await call(host, "show_process")
    pids = {answer["pid"] for answer in both}
    assert len(pids) == 2
    assert third["pid"] in pids


async def test_invocations_beyond_the_machines_limit_wait_for_a_process() -> None:
    async with hosting(toy("show_process"), limits=Limits(processes=1)) as host:
        answers = await asyncio.gather(*(call(host, "show_process") for _ in range(3)))
    assert len({answer["pid"] for answer in answers}) == 1


async def test_a_process_that_stays_idle_is_ended() -> None:
    async with hosting(toy("show_process"), limits=Limits(idle_seconds=0.1)) as host:
        pid = (await call(host, "show_process"))["pid"]
        await until(lambda: not runs(pid))
        assert (await call(host, "show_process"))["pid"] != pid


async def test_a_process_that_died_while_idle_costs_no_invocation() -> None:
    async with hosting(toy("show_process")) as host:
        pid = (await call(host, "show_process"))["pid"]
        os.kill(pid, signal.SIGKILL)
        (process,) = host._pools["show_process"]._idle
        await until(lambda: not process.alive)  # work that reached it just before would be lost with it, as on AWS
        assert (await call(host, "show_process"))["pid"] != pid


async def test_a_function_that_runs_too_long_is_killed(tmp_path: Path) -> None:
    lines: Lines = []
    async with hosting(replace(toy("sleep"), timeout=1), lines=lines) as host:
        event = {"seconds": 60, "done": str(tmp_path / "done")}
        invocation = await host.invoke("sleep", json.dumps(event).encode())
        kind, message = error_of(invocation)
        assert kind == "Sandbox.Timedout"
        assert message == f"RequestId: {invocation.request_id} Error: Task timed out after 1.00 seconds"
        assert not runs(printed_pid(lines))


async def test_a_function_that_cannot_be_imported_fails_its_invocation_with_the_reason() -> None:
    lines: Lines = []
    async with hosting(toy("broken.handler"), toy("nowhere.handler_two"), lines=lines) as host:
        assert error_of(await host.invoke("handler", b"{}")) == ("RuntimeError", "broken from the start")
        kind, message = error_of(await host.invoke("handler_two", b"{}"))
    assert kind == "Runtime.ImportModuleError"
    assert message == "Unable to import module 'nowhere': No module named 'nowhere'"
    assert ("handler", "[ERROR] RuntimeError: broken from the start") in lines


async def test_a_function_whose_import_takes_too_long_is_killed(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(60)\n")
    async with hosting(replace(toy("slow.handler"), code=tmp_path), limits=Limits(init_seconds=0.3)) as host:
        kind, message = error_of(await host.invoke("handler", b"{}"))
    assert kind == "Sandbox.Timedout"
    assert message.endswith("Task timed out after 0.30 seconds")


async def test_a_missing_code_folder_is_an_error_of_the_invocation(tmp_path: Path) -> None:
    async with hosting(replace(toy("echo"), code=tmp_path / "none")) as host:
        assert error_of(await host.invoke("echo", b"{}"))[0] == "Runtime.InvalidEntrypoint"


async def test_an_exception_is_answered_with_its_type_and_the_process_goes_on(tmp_path: Path) -> None:
    async with hosting(toy("fail")) as host:
        event = json.dumps({"tries": str(tmp_path / "tries"), "failures": 1}).encode()
        assert error_of(await host.invoke("fail", event)) == ("ValueError", "no luck")
        assert (await host.invoke("fail", event)).function_error is None


async def test_a_crash_is_told_from_an_exception_and_the_next_invocation_gets_a_new_process() -> None:
    async with hosting(toy("crash")) as host:
        kind, message = error_of(await host.invoke("crash", b'{"status": 3}'))
        assert kind == "Runtime.ExitError"
        assert message.endswith("Error: Runtime exited with error: exit status 3")
        assert await call(host, "crash", still="here") == {"still": "here"}


async def test_a_function_that_takes_more_memory_than_it_has_is_killed() -> None:
    async with hosting(replace(toy("hoard"), memory=64)) as host:
        kind, message = error_of(await host.invoke("hoard", b"{}"))
    assert kind == "Runtime.OutOfMemory"
    assert message.endswith("Runtime exited with error: signal: killed")


async def test_an_answer_that_is_too_large_is_an_error_and_the_function_goes_on() -> None:
    async with hosting(toy("answer_at_length"), limits=Limits(response_bytes=1000)) as host:
        kind, message = error_of(await host.invoke("answer_at_length", b'{"bytes": 5000}'))
        assert kind == "Function.ResponseSizeTooLarge"
        assert message == "Response payload size exceeded maximum allowed payload size (1000 bytes)."
        assert await call(host, "answer_at_length", bytes=3) == {"text": "xxx"}


async def test_payloads_of_megabytes_pass_and_larger_ones_are_refused() -> None:
    async with hosting(toy("echo")) as host:
        assert len(await call(host, "echo", text="x" * 5_000_000)) == 1
        with pytest.raises(RequestTooLargeError):
            await host.invoke("echo", b"x" * (6 * 1024 * 1024 + 1))
        with pytest.raises(RequestTooLargeError):
            await host.invoke("echo", b"x" * (1024 * 1024 + 1), kind="Event")


async def test_more_invocations_than_the_reserved_concurrency_are_throttled() -> None:
    async with hosting(replace(toy("show_process"), reserved_concurrency=1)) as host:
        first = asyncio.create_task(call(host, "show_process", seconds=0.5))
        await until(lambda: host._pools["show_process"]._in_flight)
        with pytest.raises(ThrottledError):
            await host.invoke("show_process", b"{}")
        assert (await first)["pid"]


async def test_what_a_function_prints_is_logged_line_by_line() -> None:
    lines: Lines = []
    async with hosting(toy("speak"), lines=lines) as host:
        await call(host, "speak")
    assert lines == [("speak", "to stdout"), ("speak", "to stderr")]


async def test_a_caller_that_leaves_does_not_stop_the_function_whose_process_is_used_again(tmp_path: Path) -> None:
    done = tmp_path / "done"
    lines: Lines = []
    async with hosting(replace(toy("sleep"), reserved_concurrency=1), lines=lines) as host:
        caller = asyncio.create_task(call(host, "sleep", seconds=0.2, done=str(done)))
        await until(lambda: printed_pid(lines))
        caller.cancel()
        event = json.dumps({"seconds": 0, "done": str(done)}).encode()
        await host.invoke("sleep", event, kind="Event")  # it waits for its turn
        await until(lambda: len(lines) == 2)
        assert done.exists()
    assert lines[0] == lines[1]


async def test_an_unknown_function_is_refused() -> None:
    async with hosting() as host:
        with pytest.raises(FunctionNotFoundError, match="nobody"):
            await host.invoke("nobody", b"{}")


async def test_a_host_that_closes_starts_nothing_more() -> None:
    async with hosting(toy("speak")) as host:
        pass
    with pytest.raises(InvokeError, match="The local cloud ends"):
        await host.invoke("speak", b"{}")


async def test_no_process_is_left_after_the_host_closed_neither_busy_nor_idle_nor_a_child(tmp_path: Path) -> None:
    lines: Lines = []
    async with hosting(toy("sleep"), toy("show_process"), toy("leave_child"), lines=lines) as host:
        idle = (await call(host, "show_process"))["pid"]
        child = (await call(host, "leave_child"))["pid"]
        busy = asyncio.create_task(
            host.invoke("sleep", json.dumps({"seconds": 60, "done": str(tmp_path)}).encode())
        )
        await until(lambda: printed_pid(lines))
        assert all(runs(pid) for pid in (idle, child, printed_pid(lines)))
    assert busy.done()
    await until(lambda: not any(runs(pid) for pid in (idle, child, printed_pid(lines))), seconds=1)


HOST_SCRIPT = """
import asyncio, json, sys
from pathlib import Path
from darkroom_local.functions.host import FunctionHost
from darkroom_local.resources import Function

async def main():
    function = Function("sleep", "arn", "toys.sleep", Path(sys.argv[1]), "role", timeout=100)
    async with FunctionHost([function], endpoint_url="http://x", region="us-east-1", credentials=lambda _: {},
                            client=lambda _: None, log=lambda name, line: print(line, flush=True)) as host:
        await host.invoke("sleep", json.dumps({"seconds": 100, "done": "/dev/null"}).encode())

asyncio.run(main())
"""


async def test_no_process_is_left_after_the_local_cloud_itself_was_killed() -> None:
    cloud = await asyncio.create_subprocess_exec(sys.executable, "-c", HOST_SCRIPT, str(TOYS), stdout=PIPE)
    assert cloud.stdout is not None
    pid = int((await cloud.stdout.readline()).split()[1])
    assert runs(pid)
    cloud.kill()
    await cloud.wait()
    await until(lambda: not runs(pid), seconds=2)


async def test_an_event_is_tried_three_times_and_then_sent_to_the_dead_letters(
    emulator: str, tmp_path: Path
) -> None:
    sqs = clients(emulator)("sqs")
    url = sqs.create_queue(QueueName="dead-letters")["QueueUrl"]
    tries = tmp_path / "tries"
    function = replace(toy("fail"), dead_letter_arn="arn:aws:sqs:us-east-1:123456789012:dead-letters")
    event = json.dumps({"tries": str(tries), "failures": 9})
    async with hosting(function, endpoint_url=emulator, limits=Limits(retry_delays=(0.01, 0.02))) as host:
        accepted = await host.invoke("fail", event.encode(), kind="Event")
        received = await asyncio.to_thread(
            sqs.receive_message, QueueUrl=url, WaitTimeSeconds=10, MessageAttributeNames=["All"]
        )
    assert (accepted.payload, accepted.function_error) == (b"", None)
    (message,) = received["Messages"]
    assert message["Body"] == event
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert attributes == {
        "RequestID": accepted.request_id,
        "ErrorCode": "200",
        "ErrorMessage": "ValueError: no luck",
    }
    assert tries.read_text() == "xxx"


async def test_an_event_that_succeeds_in_the_end_is_not_tried_again(tmp_path: Path) -> None:
    tries, lines = tmp_path / "tries", Lines()
    async with hosting(toy("fail"), toy("echo"), lines=lines, limits=Limits(retry_delays=(0.01, 0.02))) as host:
        await host.invoke("fail", json.dumps({"tries": str(tries), "failures": 1}).encode(), kind="Event")
        await until(lambda: tries.exists() and tries.read_text() == "xx")
        await asyncio.sleep(0.1)
    assert tries.read_text() == "xx"
    assert not [line for _, line in lines if "gave up" in line]


async def test_a_throttled_event_waits_for_its_turn(tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    async with hosting(replace(toy("fail"), reserved_concurrency=1), limits=Limits(retry_delays=())) as host:
        for _ in range(3):
            await host.invoke("fail", json.dumps({"tries": str(tries), "failures": 0}).encode(), kind="Event")
        await until(lambda: tries.exists() and tries.read_text() == "xxx")


async def test_boto3_invokes_a_function_by_name_and_by_arn_and_sees_errors_as_from_aws() -> None:
    function, failing, throttled = toy("echo"), toy("crash"), replace(toy("show_process"), reserved_concurrency=0)
    async with hosting(function, failing, throttled) as host:
        lambda_ = clients(host.endpoint_url)("lambda")

        def invoke(name: str, payload: bytes = b'{"a": 1}', **options: str) -> dict[str, Any]:
            answer: dict[str, Any] = lambda_.invoke(FunctionName=name, Payload=payload, **options)
            return answer

        for name in ("echo", function.arn, f"{function.arn}:$LATEST"):
            answer = await asyncio.to_thread(invoke, name)
            assert (answer["StatusCode"], answer["Payload"].read()) == (200, b'{"a": 1}')
            assert "FunctionError" not in answer
        answer = await asyncio.to_thread(invoke, "crash", b'{"status": 1}')
        assert answer["FunctionError"] == "Unhandled"
        assert b"Runtime.ExitError" in answer["Payload"].read()
        answer = await asyncio.to_thread(invoke, "echo", InvocationType="Event")
        assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
        for name, code in (("nobody", "ResourceNotFoundException"), ("show_process", "TooManyRequestsException")):
            with pytest.raises(ClientError) as caught:
                await asyncio.to_thread(invoke, name)
            assert caught.value.response["Error"]["Code"] == code
