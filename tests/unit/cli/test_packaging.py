"""What `pip install darkroom-cli` brings is all that it needs."""

import ast
import asyncio
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import darkroom_cli

PACKAGE = Path(__file__).parents[3] / "cli"
SOURCES = PACKAGE / "src" / "darkroom_cli"
NAMES = {
    "yaml": "pyyaml",
    "PIL": "pillow",
    "botocore": "darkroom",
    "boto3": "darkroom",
    "pydantic_core": "pydantic",
}
PROJECT = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]


def names(requirements: Iterable[str]) -> set[str]:
    return {re.split(r"[\[><=~ ]", it)[0].replace("-", "_") for it in requirements}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_every_import_is_of_a_declared_dependency() -> None:
    extras = [it for extra in PROJECT["optional-dependencies"].values() for it in extra]
    declared = names([*PROJECT["dependencies"], *extras]) | set(sys.stdlib_module_names) | {"darkroom_cli"}

    undeclared = {
        (path.relative_to(SOURCES).as_posix(), name)
        for path in SOURCES.rglob("*.py")
        for name in imports(path)
        if NAMES.get(name, name) not in declared
    }

    assert undeclared == set()


async def test_the_command_starts_without_any_extra() -> None:
    extras = names(it for extra in PROJECT["optional-dependencies"].values() for it in extra)
    modules = {module for module in (*NAMES, *extras) if NAMES.get(module, module) in extras}
    program = f"import sys, darkroom_cli.main; print(*(set({sorted(modules)!r}) & sys.modules.keys()))"

    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    loaded, _ = await process.communicate()

    assert (process.returncode, loaded.decode().split()) == (0, [])


@pytest.mark.parametrize("argv", [["version"], ["--help"], ["deploy", "--help"], ["pipelines", "run", "--help"]])
def test_what_takes_long_to_load_is_not_loaded_to_say_how_commands_are_used(argv: list[str]) -> None:
    slow = {"asyncio", "boto3", "botocore", "httpx", "jsonschema", "PIL", "yaml", "darkroom.documents"}
    program = f"""
import sys
from darkroom_cli.main import app
try:
    app({argv!r})
finally:
    print("loaded:", *({slow!r} & sys.modules.keys()))
"""
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)  # noqa: S603
    assert "loaded:" == told.stdout.splitlines()[-1]


def test_the_library_offers_all_that_it_names() -> None:
    assert all(getattr(darkroom_cli, name) for name in darkroom_cli.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = darkroom_cli.nothing
