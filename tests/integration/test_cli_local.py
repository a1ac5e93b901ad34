"""`darkroom local up`, with a cloud that only pretends."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from darkroom_cli import local_runs
from darkroom_cli.commands.sessions import Session
from darkroom_cli.errors import LocalCloudError, NotRunningError
from darkroom_cli.local_state import LocalState, find_local, state_path
from darkroom_cli.main import app
from darkroom_local.cloud import LocalCloud, Plan

STACK = SimpleNamespace(
    name="darkroom",
    region="us-east-1",
    endpoint_url="http://127.0.0.1:5000",
    outputs={"OutputS3Bucket": "bucket", "GetOperatorKeyCommand": "aws apigateway get-api-key --api-key id-of-o …"},
    administrator={"aws_access_key_id": "a", "aws_secret_access_key": "s"},
    rest_apis=(SimpleNamespace(keys={"k": "id-of-k", "o": "id-of-o"}),),
)


@pytest.fixture(autouse=True)
def ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Puts a cloud that pretends in the real one's place; says when it ended."""
    told: list[str] = []

    @asynccontextmanager
    async def pretend(plan: Plan, log: Any) -> AsyncIterator[LocalCloud]:  # noqa: ARG001  as the real one
        if plan.stack_name == "broken":
            raise ValueError("broken")
        yield LocalCloud(cast("Any", STACK), "http://127.0.0.1:8080/prod", "k")
        told.append("ended")

    monkeypatch.setattr(local_runs, "run_cloud", pretend)
    monkeypatch.setattr("darkroom_cli.local_state.user_cache_path", lambda name: tmp_path / name)
    return told


async def look() -> LocalState:
    for _ in range(200):
        await asyncio.sleep(0.01)
        try:
            return find_local()
        except NotRunningError:
            continue
    raise AssertionError("it never announced itself")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_is_found_while_it_runs_and_a_signal_ends_it(ended: list[str], number: signal.Signals) -> None:
    session = Session(json_wanted=True)
    running = asyncio.create_task(local_runs.run_until_stopped(session, Plan(), verbose=False))

    state = await look()
    os.kill(os.getpid(), number)
    await asyncio.wait_for(running, 5)

    assert (state.url, state.api_key, state.operator_key) == ("http://127.0.0.1:8080/prod", "k", "o")
    assert (state.pid, ended, state_path().exists()) == (os.getpid(), ["ended"], False)


@pytest.mark.parametrize("for_a_program", [False, True])
async def test_it_says_how_to_reach_it(capsys: pytest.CaptureFixture[str], for_a_program: bool) -> None:  # noqa: FBT001
    running = asyncio.create_task(
        local_runs.run_until_stopped(Session(json_wanted=for_a_program), Plan(), verbose=False)
    )
    await look()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(running, 5)

    out = capsys.readouterr().out
    if for_a_program:
        assert json.loads(out)["url"] == "http://127.0.0.1:8080/prod"
    else:
        assert "darkroom run --prompt" in out
        assert "AWS_ENDPOINT_URL=http://127.0.0.1:5000" in out


async def test_a_start_that_fails_says_why_and_announces_nothing() -> None:
    with pytest.raises(LocalCloudError, match="did not start: broken"):
        await local_runs.run_until_stopped(Session(), Plan(stack_name="broken"), verbose=False)

    assert not state_path().exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--runtime", "comfy"), "--runtime takes NAME=TYPE, not 'comfy'."),
        (("--runtime", "a=comfyui", "--runtime", "a=sdwebui"), "--runtime names a twice."),
        (("--runtime-url", "=http://a"), "--runtime-url takes NAME=URL, not '=http://a'."),
    ],
)
def test_an_option_that_cannot_be_read_is_quoted(options: tuple[str, ...], words: str) -> None:
    result = CliRunner().invoke(app, ["local", "up", *options])
    assert (2, True) == (result.exit_code, words in result.stderr), result.stderr
