"""`make fuzz`: requests at random, after the document that the API serves, against the API on the local cloud.

First every operation gets the values at the borders of its schema and a few at random, from a user; then those at
the borders from an operator, who may do more and finds what the user left; then all are at random.

Says the seed first; `--seed` replays a run. Nothing runs the tasks and pipelines that are accepted, so all time
goes to the API. Ends with an error where an answer is a 5xx or not as the document says.
"""

import argparse
import asyncio
import json
import os
import secrets
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from darkroom_local.aws.process import run_aws
from darkroom_local.functions.host import FunctionHost
from darkroom_local.gateway.server import Gateway
from darkroom_local.stack import Stack, provision

ROOT = Path(__file__).parents[2]
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)
NOTHING_TO_DO = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}


@dataclass(frozen=True)
class Round:
    """One run of Schemathesis: whose key it has, its phases, and its requests at random for each operation.

    One at random costs Schemathesis five times what one at a border does (its phase "coverage", which is the same
    for every seed).
    """

    caller: str
    phases: str
    each: int

    def command(self, document: Path, url: str, key: str, seed: int) -> list[str]:
        """What to run."""
        return [
            *(sys.executable, "-m", "schemathesis.cli", "run", str(document), "--url", url, "--no-color"),
            *("--header", f"x-api-key: {key}", "--seed", str(seed), "--phases", self.phases),
            *("--max-examples", str(self.each), "--checks", ",".join(CHECKS), "--continue-on-failure"),
            *("--generation-database", "none", "--suppress-health-check", "all", "--workers", "2"),
        ]


def _rounds() -> Iterator[Round]:
    yield Round("user", "examples,coverage,fuzzing", 20)
    yield Round("operator", "examples,coverage", 1)
    yield from cycle([Round("user", "fuzzing", 100), Round("operator", "fuzzing", 100)])


@dataclass
class Requests:
    """The API's log: how many requests were answered how."""

    statuses: Counter[int] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)

    def log(self, part: str, line: str) -> None:
        """Take a line of a part's log."""
        if part == "gateway":
            status = int(line.split()[2])
            self.statuses[status] += 1
            if status >= 500:
                self.errors.append(line)

    @property
    def count(self) -> int:
        """How many there were."""
        return self.statuses.total()


@asynccontextmanager
async def run_api_alone(requests: Requests) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """The API of the template with nothing behind it; gives its address and its callers' keys."""
    async with AsyncExitStack() as parts:
        aws = run_aws()
        endpoint_url = await asyncio.to_thread(aws.__enter__)
        parts.push_async_callback(asyncio.to_thread, aws.__exit__, None, None, None)
        parameters = {"RateLimit": "100000", "BurstLimit": "100000", "DynamicModel": "true"}
        template = ROOT / "sam" / "template.yaml"
        stack = await asyncio.to_thread(provision, endpoint_url, template, "fuzz", parameters, "us-east-1")
        await asyncio.to_thread(_empty_state_machines, stack)
        host = FunctionHost(
            stack.functions,
            endpoint_url=endpoint_url,
            region=stack.region,
            credentials=stack.credentials,
            client=stack.client,
            log=requests.log,
        )
        await parts.enter_async_context(host)
        await asyncio.to_thread(stack.route_functions, host.endpoint_url)
        (api,) = stack.rest_apis
        operators = {function.environment.get("DARKROOM_OPERATOR_KEY_ID") for function in stack.functions}
        keys = {"operator" if id_ in operators else "user": key for key, id_ in api.keys.items()}
        gateway = await parts.enter_async_context(Gateway(api, invoke=host.invoke, log=requests.log))
        yield gateway.url, keys


def _empty_state_machines(stack: Stack) -> None:
    """Let executions end when they start: else each would run functions, for no answer's sake."""
    states = stack.client("stepfunctions")
    for machine in states.list_state_machines()["stateMachines"]:
        states.update_state_machine(
            stateMachineArn=machine["stateMachineArn"], definition=json.dumps(NOTHING_TO_DO)
        )


async def fuzz(wanted: int, seed: int, *, say: bool = False) -> Requests:
    """Send at least so many requests; raises `AssertionError` where an answer is not as it must be."""
    requests = Requests()
    async with run_api_alone(requests) as (url, keys):
        with tempfile.TemporaryDirectory() as folder:
            document = Path(folder) / "openapi.json"
            document.write_text(json.dumps(await asyncio.to_thread(_served, url)))
            for number, round_ in enumerate(_rounds()):
                await _run(round_.command(document, url, keys[round_.caller], seed + number), folder)
                if say:
                    print(f"{requests.count} requests, {dict(requests.statuses)}", flush=True)
                if requests.count >= wanted:
                    break
    assert requests.errors == []
    return requests


async def _run(command: list[str], folder: str) -> None:
    # `requests` copies the whole environment at each request, unless it is told that there is no proxy.
    environment = os.environ | {"NO_PROXY": "127.0.0.1"}  # noqa: TID251  handed on, not read
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output, _ = await process.communicate()
    # CPython 3.11 now and then fails to parse a source that Hypothesis shows it (gh-106905).
    stumbled = b"AST constructor recursion depth mismatch" in output and b"FAILURES" not in output
    assert process.returncode == 0 or stumbled, output.decode()[-20_000:]


def _served(url: str) -> object:
    """The served document, without the header that would make answers wait."""
    with urllib.request.urlopen(f"{url}/v1/openapi.json") as answer:  # noqa: S310  the local cloud's
        document = json.load(answer)
    for methods in document["paths"].values():
        for operation in methods.values():
            operation["parameters"] = [it for it in operation.get("parameters", []) if it["name"] != "Prefer"]
    return document


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    asyncio.run(fuzz(arguments.requests, arguments.seed, say=True))


if __name__ == "__main__":
    main()
