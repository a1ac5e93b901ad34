"""`python -m bench.api.bench`: what the API costs: its import, the calls of a submit, and how long that takes.

Each number stands beside that of a bare client, measured in the same run on the same machine, so that the ratio
says more than the milliseconds.
"""

import argparse
import contextlib
import io
import json
import logging
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import botocore.client
from bench.api.inprocess import FOLDER, Api, run_api, settings
from moto.server import ThreadedMotoServer
from rich.console import Console
from rich.table import Table

from darkroom.aws.task_items import to_item
from darkroom.aws.task_store import DynamoTaskStore
from darkroom.models import JsonObject
from darkroom.tasks import Task, TaskKey

BARE = """
import boto3
from aws_lambda_powertools import Logger
Logger()
boto3.client("dynamodb")
"""
IMPORT_LIMIT = 1.5
SUBMIT_LIMIT = 2.0
FORM: JsonObject = {
    "runtime": "sdruntime",
    "type": "text-to-image",
    "content": {"prompt": "a lighthouse at dusk", "steps": 20, "width": 512, "height": 512},
}


@dataclass(frozen=True)
class Result:
    """What was measured: milliseconds of the API, of what it is compared with, and the calls of a warm submit."""

    imported: float
    bare_import: float
    calls: tuple[str, ...]
    submits: tuple[float, ...]
    puts: tuple[float, ...]

    @property
    def import_ratio(self) -> float:
        """How much longer the API's import takes than the bare client's."""
        return self.imported / self.bare_import

    @property
    def submit_ratio(self) -> float:
        """How much longer a submit takes than a bare write, at the median."""
        return statistics.median(self.submits) / statistics.median(self.puts)

    @property
    def kept(self) -> bool:
        """True where every limit is kept."""
        return self.import_ratio < IMPORT_LIMIT and self.submit_ratio <= SUBMIT_LIMIT and self.calls == ("PutItem",)


def measure(rounds: int, samples: int) -> Result:
    """Measure everything: imports `rounds` times each, requests `samples` times each, by turns."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # not a line for each request
    server.start()
    host, port = server.get_host_and_port()
    try:
        with run_api(f"http://{host}:{port}") as api:
            calls = tuple(_calls_of_a_submit(api))
            submits, puts = _time_submits(api, samples)
    finally:
        server.stop()
    imported, bare = _time_imports(rounds)
    return Result(imported, bare, calls, submits, puts)


def _time_imports(rounds: int) -> tuple[float, float]:
    """Milliseconds of importing the API and a bare client, each in new processes; the median of the rounds."""
    with settings("http://localhost"):
        pairs = [(_import_time("import app"), _import_time(BARE)) for _ in range(rounds)]
    return statistics.median(api for api, _ in pairs), statistics.median(bare for _, bare in pairs)


def _import_time(code: str) -> float:
    """What a new process takes for some imports and what they do (clients, models), in milliseconds of CPU."""
    command = [sys.executable, "-c", _TIMED.format(code=code)]
    run = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=True)  # noqa: S603  our own
    return float(run.stdout) * 1000


_TIMED = """
import time
begun = time.process_time()
{code}
print(time.process_time() - begun)
"""


def _calls_of_a_submit(api: Api) -> Iterator[str]:
    _submit(api)
    made: list[str] = []
    client: Any = botocore.client.BaseClient
    call = client._make_api_call  # noqa: SLF001  where all calls come through

    def record(self: Any, operation: str, parameters: Any) -> Any:  # noqa: ANN401  boto3's own
        made.append(operation)
        return call(self, operation, parameters)

    client._make_api_call = record  # noqa: SLF001
    try:
        _submit(api)
    finally:
        client._make_api_call = call  # noqa: SLF001
    yield from made


def _time_submits(api: Api, samples: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Milliseconds of submits through the handler and of writes of the same task by a bare client, by turns."""
    client, task = api.client("dynamodb"), _submitted(api)
    for _ in range(20):
        _submit(api)
    pairs = [(_time(lambda: _submit(api)), _time(lambda: _put(client, api.table, task))) for _ in range(samples)]
    return tuple(submit for submit, _ in pairs), tuple(put for _, put in pairs)


def _submit(api: Api) -> JsonObject:
    event = api.event("POST", "/v1/tasks", FORM)
    with contextlib.redirect_stdout(io.StringIO()):  # metrics are lines of the log
        answer: JsonObject = api.app.handler(event, api.context)
    assert answer["statusCode"] == 202, answer  # noqa: PLR2004, S101
    return answer


def _submitted(api: Api) -> Task:
    id_ = json.loads(_submit(api)["body"])["id"]
    task = DynamoTaskStore(api.client("dynamodb"), api.table).get(TaskKey("key1", id_))
    assert task is not None  # noqa: S101
    return task


def _put(client: Any, table: str, task: Task) -> None:  # noqa: ANN401  boto3's own
    item = to_item(task) | {"pk": {"S": uuid4().hex}}
    client.put_item(TableName=table, Item=item)


def _time(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return (time.perf_counter() - begun) * 1000


def show(result: Result) -> Table:
    """The result as a table."""
    table = Table("", "API", "bare client", "ratio", "limit", title="What the API costs")
    table.add_row(
        "import, ms of CPU",
        f"{result.imported:.0f}",
        f"{result.bare_import:.0f}",
        f"{result.import_ratio:.2f}",
        f"< {IMPORT_LIMIT}",
    )
    table.add_row("calls of a warm submit", ", ".join(result.calls), "PutItem", "", "one write")
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        submit, put = (sorted(times)[int(len(times) * share)] for times in (result.submits, result.puts))
        limit = f"≤ {SUBMIT_LIMIT}" if name == "p50" else ""
        table.add_row(f"submit {name}, ms", f"{submit:.2f}", f"{put:.2f}", f"{submit / put:.2f}", limit)
    return table


def _modules() -> list[tuple[str, float]]:
    """What the import spends its time on, by `-X importtime`: packages, each without what it imports."""
    with settings("http://localhost"):
        command = [sys.executable, "-X", "importtime", "-c", "import app"]
        run = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=True)  # noqa: S603
    lines = [line.removeprefix("import time:").split("|") for line in run.stderr.splitlines()[1:] if "|" in line]
    packages: dict[str, float] = {}
    for own, _, name in lines:
        package = name.strip().partition(".")[0]
        packages[package] = packages.get(package, 0) + int(own) / 1000
    return sorted(packages.items(), key=lambda item: -item[1])[:10]


def show_modules(modules: list[tuple[str, float]]) -> Table:
    """The packages that take longest, as a table."""
    table = Table("package", "ms", title="Where the import's time goes (python -X importtime)")
    for name, milliseconds in modules:
        table.add_row(name, f"{milliseconds:.0f}")
    return table


def main() -> int:
    """The command line; ends with 1 where a limit is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--samples", type=int, default=500)
    arguments = parser.parse_args()
    result = measure(arguments.rounds, arguments.samples)
    console = Console()
    console.print(show(result))
    console.print(show_modules(_modules()))
    return 0 if result.kept else 1


if __name__ == "__main__":
    sys.exit(main())
