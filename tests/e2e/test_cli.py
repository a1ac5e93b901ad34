"""The real `darkroom` process, and what it finds, on the local cloud."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest
from PIL import Image
from tests.e2e.shells import Shell
from tests.e2e.users import User, eventually

from darkroom_cli.local_runs import state_of
from darkroom_cli.local_state import LocalState

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


def announce(state: LocalState, folder: Path) -> dict[str, str]:
    """A home whose local cloud is this one: as `darkroom local up` announces it."""
    home = {"HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache"), "XDG_CONFIG_HOME": str(folder / "config")}
    (folder / "cache" / "darkroom").mkdir(parents=True)
    (folder / "cache" / "darkroom" / "local.json").write_text(state.to_json())
    return {"PATH": os.environ["PATH"]} | home  # noqa: TID251  a process needs its path


@pytest.fixture
def shell(user: User, tmp_path: Path) -> Shell:
    return Shell(tmp_path, announce(state_of(user.cloud), tmp_path))


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


async def test_a_prompt_becomes_a_file(shell: Shell) -> None:
    async with shell.start(
        "run", "--prompt", "A dog", "--steps", "4", "--size", "256x128", "-o", "dogs"
    ) as process:
        out, err = await asyncio.wait_for(process.communicate(), 60)

    assert process.returncode == 0, err.decode()
    (path,) = [shell.folder / line for line in out.decode().splitlines()]
    assert (path.parent.name, size(path)) == ("dogs", (256, 128))


async def test_a_picture_on_disk_is_uploaded_and_comes_back_larger(shell: Shell) -> None:
    Image.new("RGB", (64, 48), "orange").save(shell.folder / "cat.png")

    answer = await shell.json("run", "-i", "cat.png", "--upscale", "2", "--upscaler", "Lanczos")

    assert [size(shell.folder / file) for file in answer["files"]] == [(128, 96)]
    assert answer["status"] == "succeeded"


async def test_a_task_is_cancelled_listed_watched_and_retried(user: User, shell: Shell) -> None:
    long = ("--steps", "150", "--count", "4", "--set", "n_iter=20")
    assert await shell.run("submit", "--prompt", "x", *long, "--id", "cli-life") == "cli-life\n"

    assert await shell.run("tasks", "cancel", "cli-life") == "cli-life cancelled\n"
    assert "->cli-life" in await shell.run("tasks", "list", "--status", "cancelled")
    assert "cancelled" in await shell.run("tasks", "watch", "cli-life", code=4)
    assert [task["id"] for task in await shell.json("tasks", "retry", "cli-life")] == ["cli-life"]
    await user.call("POST", "/v1/tasks/cli-life/cancel")


POSTER = {
    "name": "poster",
    "inputs": {"prompt": {"type": "string"}, "steps": 2},
    "steps": [
        {
            "id": "draft",
            "runtime": "sdruntime",
            "type": "text-to-image",
            "content": {"prompt": "${inputs.prompt}", "steps": "${inputs.steps}", "n_iter": 2},
        },
        {
            "id": "big",
            "runtime": "sdruntime",
            "type": "extra-single-image",
            "foreach": "${draft.images}",
            "content": {"image": "${item}", "upscaling_resize": 2, "upscaler_1": "Lanczos"},
        },
    ],
}


async def test_a_pipeline_is_drawn_checked_saved_run_and_shown(shell: Shell) -> None:
    (shell.folder / "poster.json").write_text(json.dumps(POSTER))

    assert "draft --> big" in await shell.run("pipelines", "graph", "poster.json")
    await shell.run("pipelines", "graph", "poster.json", "-o", "poster.png")
    assert size(shell.folder / "poster.png")[0] > 300
    await shell.run("pipelines", "validate", "poster.json")
    assert await shell.run("pipelines", "save", "cli-poster", "poster.json") == "cli-poster@1\n"
    run = ("pipelines", "run", "--name", "cli-poster@1", "-i", "prompt=a ship", "--id", "cli-poster", "--watch")
    assert await shell.run(*run) == "cli-poster\n"
    shown = await shell.json("pipelines", "show", "cli-poster")
    tree = await shell.run("pipelines", "show", "cli-poster")

    assert (shown["status"], shown["definition"], len(shown["images"])) == ("succeeded", "cli-poster@1", 2)
    assert [(step["id"], step["done"]) for step in shown["steps"]] == [("draft", 1), ("big", 2)]
    assert "2/2" in tree
    assert "cli-poster" in await shell.run("pipelines", "list")


async def test_a_pipeline_is_cancelled_watched_and_retried(shell: Shell) -> None:
    slow = POSTER | {"inputs": {"prompt": "x", "steps": 150}}
    (shell.folder / "slow.yaml").write_text(json.dumps(slow))
    await shell.run("pipelines", "run", "slow.yaml", "-i", "typo=1", code=2)
    assert await shell.run("pipelines", "run", "slow.yaml", "--id", "cli-slow") == "cli-slow\n"

    assert (await shell.json("pipelines", "cancel", "cli-slow"))["status"] == "cancelled"
    await shell.run("pipelines", "watch", "cli-slow", code=4)
    again = await shell.json("pipelines", "retry", "cli-slow")
    assert (again["status"], again["run"]) == ("running", 2)
    await shell.run("pipelines", "retry", "cli-slow", code=8)
    await shell.run("pipelines", "cancel", "cli-slow")


async def test_what_the_api_refuses_ends_with_the_code_for_usage(shell: Shell) -> None:
    await shell.run("submit", "--prompt", "x", "--steps", "500", code=2)


async def test_events_are_heard_and_the_tap_is_removed(user: User, shell: Shell) -> None:
    def rules() -> list[str]:
        listed = user.client("events").list_rules(EventBusName=user.cloud.stack.outputs["EventBusName"])
        return [rule["Name"] for rule in listed["Rules"] if rule["Name"].startswith("darkroom-tail-")]

    async with shell.start("events", "tail", "--json", "--task", "cli-heard") as tail:

        async def open_() -> bool | None:
            return bool(await asyncio.to_thread(rules)) or None

        await eventually(open_, "the tap")
        await shell.run("run", "--prompt", "x", "--steps", "2", "--id", "cli-heard")
        assert tail.stdout is not None
        types = [json.loads(await asyncio.wait_for(tail.stdout.readline(), 20))["detail-type"] for _ in range(3)]
        tail.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(tail.wait(), 20) == 130

    assert set(types) == {"TaskQueued", "TaskStarted", "TaskSucceeded"}
    assert await asyncio.to_thread(rules) == []
    queues = user.client("sqs").list_queues(QueueNamePrefix="darkroom-tail-")
    assert "QueueUrls" not in queues


async def test_a_check_asks_a_runtime_as_what_it_is(shell: Shell) -> None:
    (outcome,) = (await shell.json("verify", "--runtime-name", "comfy"))["outcomes"]

    assert ("pipeline", True, 1) == (outcome["title"], outcome["ok"], len(outcome["images"]))


async def test_an_operator_may_redrive(shell: Shell) -> None:
    await shell.run("runtimes", "redrive", "sdruntime", code=7)
    await shell.run("config", "set", "local", "--operator")

    assert (await shell.json("runtimes", "redrive", "sdruntime"))["moved"] >= 0
