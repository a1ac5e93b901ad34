"""How a function becomes a command: each takes `--json` and `--profile`, and ends with a code, not a traceback.

A parameter whose type is a dataclass stands for all of its fields: so commands share options.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from darkroom_cli.commands.completions import complete_profile
from darkroom_cli.commands.sessions import Session
from darkroom_cli.errors import ClientError
from darkroom_cli.exits import ExitCode, exit_code

P = ParamSpec("P")

_PANEL = "Common options"
_JSON = Annotated[
    bool,
    typer.Option("--json", help="Print JSON, for programs, and nothing else, to stdout.", rich_help_panel=_PANEL),
]
_PROFILE = Annotated[
    str | None,
    typer.Option(
        "--profile",
        "-p",
        metavar="NAME",
        help="Which Darkroom to speak to; see `darkroom config`.",
        rich_help_panel=_PANEL,
        autocompletion=complete_profile,
    ),
]


def command(
    app: typer.Typer,
    name: str | None = None,
    *,
    examples: Sequence[str] = (),
    **options: Any,  # noqa: ANN401
) -> Callable[[Callable[Concatenate[Session, P], None]], Callable[Concatenate[Session, P], None]]:
    """Add a command to an app. The function's first parameter is its `Session`; `options` are Typer's."""

    def register(function: Callable[Concatenate[Session, P], None]) -> Callable[Concatenate[Session, P], None]:
        app.command(name, epilog=_epilog(examples), **options)(as_typer(function))
        return function

    return register


def as_typer(function: Callable[..., None]) -> Callable[..., None]:
    """The function as Typer takes one."""
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]

    @functools.wraps(function)
    def run(*, json_wanted: bool, profile: str | None, **values: Any) -> None:  # noqa: ANN401  the options
        session = Session(json_wanted=json_wanted, profile=profile)
        try:
            function(session, **dict(_gather(own, values)))
        except ClientError as error:
            session.explain(error)
            raise typer.Exit(exit_code(error)) from error
        except KeyboardInterrupt:
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except BrokenPipeError:  # whoever read stdout has seen enough
            raise typer.Exit(ExitCode.OK) from None

    parameters = [
        *_expanded(own),
        _parameter("json_wanted", _JSON, default=False),
        _parameter("profile", _PROFILE, default=None),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _expanded(parameters: Sequence[inspect.Parameter]) -> Iterator[inspect.Parameter]:
    for parameter in parameters:
        if not dataclasses.is_dataclass(parameter.annotation):
            yield parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            continue
        hints = inspect.get_annotations(parameter.annotation, eval_str=True)  # type: ignore[arg-type]
        for field in dataclasses.fields(parameter.annotation):
            yield _parameter(field.name, hints[field.name], default=field.default)


def _gather(own: Sequence[inspect.Parameter], values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for parameter in own:
        if isinstance(parameter.annotation, type) and dataclasses.is_dataclass(parameter.annotation):
            names = [field.name for field in dataclasses.fields(parameter.annotation)]
            yield parameter.name, parameter.annotation(**{name: values[name] for name in names})
        else:
            yield parameter.name, values[parameter.name]


def _parameter(name: str, annotation: Any, *, default: object) -> inspect.Parameter:  # noqa: ANN401  a type
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _epilog(examples: Sequence[str]) -> str | None:
    """Examples, a line each: Typer takes paragraphs for lines."""
    if not examples:
        return None
    return "\n\n".join(
        ["[bold]Examples[/]", *(f"[dim]$[/] {example.replace('[', chr(92) + '[')}" for example in examples)]
    )
