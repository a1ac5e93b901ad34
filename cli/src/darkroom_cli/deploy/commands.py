"""Commands and steps, as values: one runs them, another prints them as a shell script."""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from darkroom_cli.deploy.names import Names
from darkroom_cli.settings import PROGRAMS

_VARIABLE = re.compile("\0([A-Z][A-Z0-9_]*)\0")
_SPECIAL = re.compile(r'[\\"`$]')


@dataclass(frozen=True)
class Command:
    """One command.

    An argument may hold the output of an earlier command: see `variable`.

    Attributes:
        argv: the program and its arguments.
        into: the variable that takes its output.
    """

    argv: tuple[str, ...]
    into: str | None = None

    def resolve(self, variables: Mapping[str, str]) -> list[str]:
        """The arguments with the variables' values; raises `KeyError` for one without."""
        return [_VARIABLE.sub(lambda found: variables[found[1]], argument) for argument in self.argv]

    def __str__(self) -> str:
        line = " ".join(map(quote, self.argv))
        return f"{self.into}=$({line})" if self.into else line


@dataclass(frozen=True)
class Step:
    """Some commands that belong together.

    Attributes:
        title: what they do.
        commands: they, in order.
        unless: a command that succeeds where the step is done already.
        note: what a reader should know.
    """

    title: str
    commands: tuple[Command, ...]
    unless: Command | None = None
    note: str = ""

    def lines(self) -> Iterator[str]:
        """The step as lines of a shell script."""
        for line in (self.title, *self.note.splitlines()):
            yield "# " + _VARIABLE.sub(r"${\1}", line)
        if self.unless is None:
            yield from map(str, self.commands)
            return
        yield f"if ! {self.unless} >/dev/null 2>&1; then"
        yield from (f"  {command}" for command in self.commands)
        yield "fi"


def variable(name: str) -> str:
    """The place of an earlier command's output in an argument. Its marks are in no configuration's text."""
    return f"\0{name}\0"


def command(*argv: str, into: str | None = None) -> Command:
    """A command from its arguments."""
    return Command(argv, into)


def aws(region: str, service: str, operation: str, *argv: str, into: str | None = None) -> Command:
    """A command of the AWS CLI in a region."""
    return command("aws", service, operation, "--region", region, *argv, into=into)


def read_output(region: str, stack: str, key: str, into: str) -> Command:
    """The command that reads an output of a stack."""
    return command(
        *("aws", "cloudformation", "describe-stacks", "--region", region, "--stack-name", stack),
        *("--query", f"Stacks[0].Outputs[?OutputKey==`{key}`].OutputValue", "--output", "text"),
        into=into,
    )


def reach_cluster(names: Names) -> Command:
    """The command that lets helm and kubectl reach the cluster, by the variables CLUSTER_NAME and ACCESS_ROLE."""
    return command(
        *("aws", "eks", "update-kubeconfig", "--region", names.region, "--name", variable("CLUSTER_NAME")),
        *("--role-arn", variable("ACCESS_ROLE"), "--kubeconfig", names.kubeconfig, "--alias", names.cluster),
    )


def quote(argument: str) -> str:
    """An argument as a shell takes it; its variables stay variables, and must have values."""
    if not _VARIABLE.search(argument):
        return shlex.quote(argument)
    escaped = _SPECIAL.sub(lambda found: "\\" + found[0], argument)
    return '"' + _VARIABLE.sub(r"${\1:?}", escaped) + '"'


def write_script(steps: Iterable[Step], about: str = "") -> str:
    """The steps as a shell script, to be run where it was written: its paths begin there.

    `about` says what it is for.
    """
    here = Path.cwd()
    programs = f"$PWD/{PROGRAMS.relative_to(here)}" if PROGRAMS.is_relative_to(here) else str(PROGRAMS)
    told = [f"# {about}. Run it in this folder."] if about else []
    head = ["#!/usr/bin/env bash", *told, "set -euo pipefail", f'export PATH="$PATH:{programs}" # darkroom and sam']
    parts = ["\n".join(head), *("\n".join(step.lines()) for step in steps)]
    return "\n\n".join(parts) + "\n"
