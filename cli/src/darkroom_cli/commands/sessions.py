"""What every command has at hand: the chosen Darkroom, and the two streams."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType

from darkroom.models import JsonObject
from darkroom_cli.access import Access
from darkroom_cli.errors import ApiError, ClientError
from darkroom_cli.exits import exit_code
from darkroom_cli.profiles import find_access
from darkroom_cli.tasks import Shown

if TYPE_CHECKING:
    from darkroom_cli.client import Client


class Session:
    """One run of a command. What was asked for goes to stdout, everything else to stderr.

    Attributes:
        json: whether stdout is for a program.
        profile: the Darkroom that was named; None for the one in use.
        out: stdout; keeps to the terminal's width, and to no width at all where there is none.
        err: stderr.
    """

    def __init__(self, *, json_wanted: bool = False, profile: str | None = None) -> None:
        self.json = json_wanted
        self.out = Console(highlight=False)
        self.err = Console(stderr=True, highlight=False)
        self.profile = profile

    @cached_property
    def access(self) -> Access:
        """The Darkroom to speak to."""
        return find_access(self.profile)

    @contextmanager
    def client(self) -> "Iterator[Client]":
        """A client of it."""
        from darkroom_cli.client import Client

        with Client(self.access.url, self.access.api_key) as client:
            yield client

    def give(self, value: Shown | Sequence[Shown] | JsonObject, shown: Callable[[], RenderableType]) -> None:
        """Print what was asked for: as JSON, or as `shown` renders it."""
        if self.json:
            self.give_json(value)
        else:
            self.out.print(shown())

    def give_json(self, value: Shown | Sequence[Shown] | JsonObject, *, lines: bool = False) -> None:
        """Print a value as JSON; with `lines`, on one line, as one of many."""
        indent = 2 if self.out.is_terminal and not lines else None
        print(json.dumps(plain(value), ensure_ascii=False, indent=indent), file=self.out.file, flush=True)

    def give_lines(self, lines: Sequence[str]) -> None:
        """Print lines as they are, for people and programs alike."""
        for line in lines:
            print(line, file=self.out.file, flush=True)

    def say(self, text: RenderableType) -> None:
        """Tell whoever watches."""
        self.err.print(text, soft_wrap=True)

    def explain(self, error: ClientError) -> None:
        """Say what went wrong, and what to do about it."""
        if self.json:
            print(json.dumps({"error": describe(error)}, ensure_ascii=False), file=self.err.file, flush=True)
            return
        self.err.print("[bold red]Error:[/] ", end="")
        self.err.print(str(error), markup=False, soft_wrap=True)
        if error.hint:
            self.err.print(f"[dim]{error.hint.replace('[', chr(92) + '[')}[/]", soft_wrap=True)


def plain(value: Shown | Sequence[Shown] | JsonObject) -> object:
    """A value as JSON has it."""
    if isinstance(value, Shown):
        return value.as_json()
    if isinstance(value, dict):
        return value
    return [item.as_json() for item in value]


def describe(error: ClientError) -> JsonObject:
    """An error for a program."""
    facts: JsonObject = {"message": str(error), "hint": error.hint, "exit_code": int(exit_code(error))}
    if isinstance(error, ApiError):
        fields = [{"field": fault.field, "message": fault.message} for fault in error.fields]
        facts |= {"status": error.status, "type": error.type, "errors": fields, "request_id": error.request_id}
    return facts
