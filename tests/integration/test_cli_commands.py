"""The `darkroom` command against a small API: what it prints, what it sends, and how it ends."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli_server import CUT, KEY, PNG, Reply, StubDarkroom, problem, serve
from typer.testing import CliRunner, Result

from darkroom.signatures import sign
from darkroom_cli import limits, profiles
from darkroom_cli.main import app
from darkroom_cli.settings import ClientSettings

Run = Callable[..., Result]


@pytest.fixture
def stub() -> Iterator[StubDarkroom]:
    with serve(StubDarkroom()) as stub:
        yield stub


@pytest.fixture(autouse=True)
def home(stub: StubDarkroom, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user's home, with a profile of the stub that is in use."""
    monkeypatch.setattr(profiles, "user_config_path", lambda name: tmp_path / "config" / name)
    monkeypatch.setattr("darkroom_cli.local_state.user_cache_path", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr(ClientSettings, "from_environment", classmethod(lambda cls: cls()))
    monkeypatch.setattr("darkroom_cli.client.Limits", lambda: limits.Limits(retries=limits.Retries(first=0.01)))
    stubbed = profiles.UrlProfile(url=f"{stub.url}/prod", api_key=KEY)
    profiles.Config(current="stub", profiles={"stub": stubbed}).write()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run() -> Run:
    """Runs `darkroom` with arguments."""

    def call(*arguments: str, **more: Any) -> Result:
        return CliRunner().invoke(app, list(arguments), prog_name="darkroom", **more)

    return call


def test_run_prints_the_files_and_nothing_else(stub: StubDarkroom, run: Run, home: Path) -> None:
    result = run("run", "--prompt", "A dog", "--steps", "16", "--id", "dog", "-o", "dogs")

    assert (result.exit_code, result.stdout) == (0, "dogs/dog-abcd-1.png\n")
    assert (home / "dogs" / "dog-abcd-1.png").read_bytes() == PNG
    form = stub.requests("POST", "/prod/v1/tasks")[0].json
    assert form == {
        "id": "dog",
        "type": "text-to-image",
        "runtime": "sdruntime",
        "content": {"prompt": "A dog", "steps": 16},
    }


def test_submit_prints_the_id_for_scripts(run: Run) -> None:
    assert run("submit", "--prompt", "A dog", "--id", "dog").stdout == "dog\n"


def test_every_option_of_the_task_reaches_the_api(stub: StubDarkroom, run: Run) -> None:
    options = {
        "--runtime": "sdruntime",
        "--model": "m",
        "--prefix": "p",
        "--context": '{"a": 1}',
        "--priority": "low",
        "--deadline": "60",
        "--webhook": "https://x",
        "--webhook-event": "task.failed",
        "--webhook-secret": "s",
        "--format": "webp",
        "--quality": "80",
        "--idempotency-key": "k",
    }

    result = run("submit", "--prompt", "A dog", *(word for option in options.items() for word in option))

    assert result.exit_code == 0, result.stderr
    (seen,) = stub.seen
    assert seen.headers["idempotency-key"] == "k"
    assert seen.json == {
        "type": "text-to-image",
        "content": {"prompt": "A dog"},
        "runtime": "sdruntime",
        "model": "m",
        "prefix": "p",
        "context": {"a": 1},
        "priority": "low",
        "deadline_seconds": 60,
        "webhook": {"url": "https://x", "events": ["task.failed"], "secret_ref": "s"},
        "output": {"format": "webp", "quality": 80},
    }


def test_a_picture_on_disk_is_uploaded_and_a_link_is_left_alone(stub: StubDarkroom, run: Run, home: Path) -> None:
    (home / "cat.png").write_bytes(PNG)

    run("submit", "--prompt", "wizard", "-i", "cat.png", "-i", "https://x/dog.png")

    links = stub.requests("POST", "/prod/v1/tasks")[0].json["content"]["init_images"]
    assert links == ["s3://bucket/uploads/u/cat.png", "https://x/dog.png"]
    assert stub.files["cat.png"] == PNG


def test_a_content_comes_from_stdin(stub: StubDarkroom, run: Run) -> None:
    run("submit", "--content", "-", "--set", "seed=7", input='{"prompt": "A dog", "seed": 1}')

    assert stub.requests("POST", "/prod/v1/tasks")[0].json["content"] == {"prompt": "A dog", "seed": 7}


def test_the_runtime_is_the_profiles_before_the_only_one(stub: StubDarkroom, run: Run) -> None:
    assert run("config", "set", "stub", "--runtime", "mine").exit_code == 0

    run("submit", "--prompt", "A dog")

    assert stub.requests("POST", "/prod/v1/tasks")[0].json["runtime"] == "mine"


def test_a_choice_between_runtimes_is_left_to_the_user(stub: StubDarkroom, run: Run) -> None:
    both = [{"name": name, "type": "sdwebui", "task_types": ["text-to-image"]} for name in ("one", "two")]
    stub.script = [Reply(200, {"runtimes": both})]

    result = run("submit", "--prompt", "A dog")

    assert result.exit_code == 2
    assert "one, two" in result.stderr
    assert "--runtime one" in result.stderr


def test_what_no_runtime_does_is_told_before_it_is_asked(run: Run) -> None:
    result = run("submit", "--content", "-", input='{"1": {"class_type": "LoadImage", "inputs": {}}}')

    assert result.exit_code == 2
    assert "No runtime does pipeline" in result.stderr


def test_a_pipe_gets_display_names_a_line_each(stub: StubDarkroom, run: Run) -> None:
    stub.add("a")
    stub.add("b")

    names = run("tasks", "list").stdout.splitlines()

    assert names == [f"2026-01-31 12:00:00->txt2img->in progress->{id_}" for id_ in ("b", "a")]


def test_ten_are_listed_unless_all_are_asked_for(stub: StubDarkroom, run: Run) -> None:
    for number in range(12):
        stub.add(f"t{number}")

    assert len(run("tasks", "list").stdout.splitlines()) == 10
    assert len(run("tasks", "list", "--all").stdout.splitlines()) == 12


def test_filters_reach_the_api(stub: StubDarkroom, run: Run) -> None:
    run("tasks", "list", "-s", "failed", "-s", "expired", "--type", "pipeline", "--since", "2026-01-31T12:00Z")

    query = stub.seen[0].query
    assert (query["status"], query["type"]) == (["failed", "expired"], ["pipeline"])
    assert query["since"] == ["2026-01-31T12:00:00.000Z"]


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        (["submit", "--prompt", "x", "--id", "dog"], "id", "dog"),
        (["run", "--prompt", "x", "--id", "dog"], "files", ["dog-abcd-1.png"]),
        (["tasks", "show", "old"], "from_the_future", True),
        (["tasks", "download", "done"], "files", ["picture.png"]),
        (["tasks", "delete", "old", "--yes"], "deleted", ["old"]),
        (["upload", "cat.png"], "cat.png", "s3://bucket/uploads/u/cat.png"),
        (["runtimes", "show", "sdruntime"], "type", "sdwebui"),
        (["runtimes", "redrive", "sdruntime"], "moved", 3),
        (["config", "path"], "path", "config.toml"),
        (["config", "list"], "current", "stub"),
        (["version"], "version", "0.1.0"),
    ],
)
def test_json_is_all_that_stdout_gets(
    stub: StubDarkroom, run: Run, home: Path, arguments: list[str], field: str, value: Any
) -> None:
    (home / "cat.png").write_bytes(PNG)
    stub.files["picture.png"] = PNG
    stub.add("old")
    stub.add("done", status="succeeded", images=[stub.image("picture.png")])

    result = run(*arguments, "--json")

    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)[field]
    assert found == value or (field == "path" and found.endswith(value))


@pytest.mark.parametrize("arguments", [["tasks", "list"], ["runtimes", "list"], ["tasks", "cancel", "old"]])
def test_lists_are_json_lists(stub: StubDarkroom, run: Run, arguments: list[str]) -> None:
    stub.add("old")

    assert len(json.loads(run(*arguments, "--json").stdout)) == 1


def test_watching_with_json_is_a_line_a_change(stub: StubDarkroom, run: Run) -> None:
    stub.add("dog")

    lines = run("tasks", "watch", "dog", "--json").stdout.splitlines()

    assert [json.loads(line)["status"] for line in lines] == ["running", "succeeded"]


ENDED = {"status": "failed", "error": {"type": "out_of_memory", "message": "CUDA", "retryable": True}}


@pytest.mark.parametrize(
    ("arguments", "replies", "code", "says"),
    [
        (["tasks", "show", "typo"], [], 3, "not-found"),
        (["tasks", "watch", "broken"], [], 4, "darkroom tasks retry broken"),
        (["tasks", "download", "broken"], [], 4, "out_of_memory: CUDA"),
        (["tasks", "watch", "slow", "--timeout", "0"], [], 5, "darkroom tasks watch slow"),
        (["tasks", "list"], [CUT] * 9, 6, "cannot be reached"),
        (["tasks", "list"], [problem(500, "broken")] * 9, 6, "request id"),
        (["tasks", "list"], [problem(401, "unauthorized")], 7, "--api-key"),
        (["tasks", "retry", "dog"], [problem(409, "task-not-retryable")], 8, "task-not-retryable"),
        (
            ["submit", "--prompt", "x", "-r", "r"],
            [problem(400, "invalid", errors=[{"field": "f", "message": "m"}])],
            2,
            "f: m",
        ),
        (["submit"], [], 2, "--prompt"),
        (["submit", "--prompt", "x", "--context", "{"], [], 2, "--context takes JSON"),
        (["submit", "--content", "nowhere.json"], [], 2, "nowhere.json"),
        (["submit", "--prompt", "x", "--webhook-event", "e"], [], 2, "--webhook URL"),
        (["submit", "--steps", "many"], [], 2, "integer"),
        (["tasks", "list", "--since", "soon"], [], 2, "is no time"),
        (["tasks", "list", "-p", "typo"], [], 2, "there is: local, stub"),
        (["tasks", "list", "-p", "local"], [], 2, "darkroom local up"),
        (["tasks", "delete", "slow"], [], 2, "--yes"),
        (["tasks", "watch"], [], 2, "no terminal"),
        (["events", "tail"], [], 2, "--stack"),
        (["upload", "nowhere.png"], [], 2, "nowhere.png"),
        (["local", "up", "--template", "nowhere.yaml"], [], 2, "nowhere.yaml"),
        (["local", "up", "--parameter", "x"], [], 2, "NAME=VALUE"),
        (["config", "set", "x"], [], 2, "--stack"),
        (["config", "set", "x", "--url", "https://x"], [], 2, "--api-key"),
        (["config", "use", "typo"], [], 2, "typo"),
    ],
)
def test_a_command_that_goes_wrong_says_what_to_do_and_ends_with_its_code(
    stub: StubDarkroom, run: Run, arguments: list[str], replies: list[Reply], code: int, says: str
) -> None:
    stub.add("broken", **ENDED)
    stub.add("slow")
    stub.looks = 99
    stub.script = replies

    result = run(*arguments)

    assert result.exit_code == code, result.output
    assert " ".join(says.split()) in " ".join(result.stderr.replace("│", " ").split())
    assert result.stdout == "" or "watch" in arguments
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_an_error_with_json_is_json_too(run: Run) -> None:
    result = run("tasks", "show", "typo", "--json")

    assert result.stdout == ""
    error = json.loads(result.stderr)["error"]
    assert (error["exit_code"], error["status"], error["type"]) == (3, 404, "not-found")


def test_a_local_cloud_that_is_not_installed_is_told_with_how_to_get_it(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "template.yaml").touch()
    monkeypatch.setitem(__import__("sys").modules, "darkroom_local.cloud", None)
    monkeypatch.delitem(__import__("sys").modules, "darkroom_cli.local_runs", raising=False)

    for command in (["local", "up"], ["demo"]):
        result = run(*command, "--template", "template.yaml")
        assert (result.exit_code, "pip install 'darkroom-cli[local]'" in result.stderr) == (1, True)


def test_profiles_are_made_used_listed_and_forgotten(run: Run) -> None:
    made = [
        run("config", "set", "work", "--stack", "darkroom", "--region", "eu-west-1"),
        run("config", "set", "own", "--url", "https://x/prod", "--api-key", "-", input="very-secret\n"),
        run("config", "set", "work", "--runtime", "sd", "--operator"),
        run("config", "use", "work"),
    ]
    assert [result.exit_code for result in made] == [0] * 4

    listed = json.loads(run("config", "list", "--json").stdout)
    assert listed["current"] == "work"
    assert listed["profiles"]["work"] == {
        "kind": "stack",
        "stack": "darkroom",
        "region": "eu-west-1",
        "aws_profile": None,
        "runtime": "sd",
        "operator": True,
    }
    assert "very-secret" not in run("config", "list").output
    assert "the stack darkroom in eu-west-1 (operator)" in run("config", "list").stdout
    assert profiles.Config.read().profiles["own"] == profiles.UrlProfile(
        url="https://x/prod", api_key="very-secret"
    )
    assert run("config", "remove", "work").exit_code == 0
    assert json.loads(run("config", "list", "--json").stdout)["current"] == "local"


SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize(
    ("body", "age", "options", "code"),
    [
        pytest.param(b'{"a": 1}', 0, [], 0, id="as it was signed"),
        pytest.param(b'{"a":1}', 0, [], 1, id="parsed and written again"),
        pytest.param(b'{"a": 1}', 3600, [], 1, id="an old one"),
        pytest.param(b'{"a": 1}', 3600, ["--any-time"], 0, id="an old one, and that is known"),
    ],
)
def test_a_webhook_is_verified(run: Run, home: Path, body: bytes, age: int, options: list[str], code: int) -> None:
    timestamp = int(time.time()) - age
    signature = sign(SECRET, "msg_1", timestamp, b'{"a": 1}')
    (home / "body.json").write_bytes(body)
    separate = ["--id", "msg_1", "--timestamp", str(timestamp), "--signature", f"v1,bm8= {signature}"]
    headers = ["Webhook-Id: msg_1", f"webhook-timestamp: {timestamp}", f"webhook-signature: {signature}"]
    joined = [word for header in headers for word in ("-H", header)]

    from_file = run("webhooks", "verify", "body.json", "--secret", SECRET, *separate, *options)
    from_stdin = run("webhooks", "verify", "-", "--secret", SECRET, *joined, *options, input=body)

    assert (from_file.exit_code, from_stdin.exit_code) == (code, code), from_file.output


def test_a_webhook_without_a_secret_or_with_rubbish_for_one_is_told(run: Run, home: Path) -> None:
    (home / "body.json").write_bytes(b"{}")
    headers = ["--id", "m", "--timestamp", str(int(time.time())), "--signature", "v1,x"]

    assert run("webhooks", "verify", "body.json", *headers).exit_code == 2
    assert run("webhooks", "verify", "body.json", *headers, "--secret", "whsec_ä").exit_code == 1


def test_the_shell_is_offered_tasks_runtimes_and_profiles_and_never_an_error(stub: StubDarkroom, run: Run) -> None:
    stub.add("test-t2i")

    def offered(words: str) -> str:
        variables = {"_DARKROOM_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": words}
        return run(env=variables).output

    assert "test-t2i" in offered("darkroom tasks show te")
    assert "sdruntime" in offered("darkroom submit --runtime sd")
    assert "stub" in offered("darkroom tasks list --profile ")
    stub.script = [problem(500, "broken")]
    assert "Error" not in offered("darkroom tasks show te")
