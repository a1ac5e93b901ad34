"""The client's and the command's documentation: its code runs, and it lists what there is."""

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli_server import KEY, PNG, StubDarkroom, problem, serve
from typer.main import get_command

from darkroom_cli.exits import ExitCode
from darkroom_cli.main import app

DOCS = Path(__file__).parents[2] / "docs"
BLOCKS = re.findall(r"```python\n(.*?)```", (DOCS / "client.md").read_text(), re.DOTALL)


def commands(command: Any, path: str = "darkroom") -> Iterator[tuple[str, Any]]:
    """Every command by its words."""
    for name, sub in getattr(command, "commands", {}).items():
        if getattr(sub, "commands", None):
            yield from commands(sub, f"{path} {name}")
        else:
            yield f"{path} {name}", sub


COMMANDS = dict(commands(get_command(app)))


def lines_of_shell() -> list[str]:
    """Every use of `darkroom` in the documentation and in the commands' own examples."""
    blocks = re.findall(r"```bash\n(.*?)```", (DOCS / "cli.md").read_text(), re.DOTALL)
    helps = [
        line for command in COMMANDS.values() for line in (command.epilog or "").replace("\\[", "[").split("\n\n")
    ]
    written = [line for block in blocks for line in block.splitlines()] + helps
    return sorted({match[0] for line in written if (match := re.search(r"\bdarkroom [a-z].*", line))})


@pytest.mark.parametrize("block", [pytest.param(block, id=f"block {n}") for n, block in enumerate(BLOCKS, 1)])
def test_the_code_in_the_documentation_runs(block: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stub = StubDarkroom()
    refusal = problem(400, "invalid-request", errors=[{"field": "content.steps", "message": "must be at most 150"}])
    stub.on_request = lambda seen: refusal if b'"steps":500' in seen.body else None
    (tmp_path / "cat.png").write_bytes(PNG)
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        stub.add(f"t{number}")
    with serve(stub), contextlib.redirect_stdout(io.StringIO()) as printed:
        for name, value in {"URL": f"{stub.url}/prod", "API_KEY": KEY}.items():
            monkeypatch.setenv(f"DARKROOM_{name}", value)
        exec(compile(block, "client.md", "exec"), {})  # noqa: S102  this is the point

    assert printed.getvalue().strip()


def test_every_command_is_documented_and_no_other() -> None:
    text = (DOCS / "cli.md").read_text()
    named = {words for words in COMMANDS if re.search(rf"{words}(?![a-z-])", text)}

    assert set(COMMANDS) == named


@pytest.mark.parametrize("line", lines_of_shell())
def test_every_example_names_a_command_and_options_that_exist(line: str) -> None:
    line = re.split(r"\s#|[|<>)]|\s&&", line.replace("$(", "").replace("\\", ""))[0]
    with contextlib.suppress(ValueError):  # the rest of a line was cut off inside quotes
        words = shlex.split(line)
        found = [path for path in COMMANDS if words[: len(path.split())] == path.split()]
        assert found, line
        known = {
            name for parameter in COMMANDS[found[0]].params for name in (*parameter.opts, *parameter.secondary_opts)
        }
        assert {word for word in words if word.startswith("-") and len(word) > 1} <= known | {"--help"}


def test_every_command_takes_json_and_a_profile_and_has_a_help() -> None:
    for words, command in COMMANDS.items():
        options = {name for parameter in command.params for name in parameter.opts}
        assert {"--json", "--profile"} <= options, words
        assert command.help, words


def test_the_documentation_lists_the_codes_as_they_are() -> None:
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", (DOCS / "cli.md").read_text(), re.MULTILINE)

    assert [(str(int(code)), code.meaning) for code in ExitCode] == rows
