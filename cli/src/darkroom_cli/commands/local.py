"""`darkroom local up` and `darkroom demo`: they need the package darkroom-local, and load it when they are run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from darkroom_cli.commands.registration import command
from darkroom_cli.commands.sessions import Session
from darkroom_cli.errors import NotInstalledError, UsageError

local = typer.Typer(
    no_args_is_help=True, help="Run Darkroom's cloud on this machine: no account, no GPU, no Docker."
)

_TEMPLATE = Path("sam/template.yaml")
_Template = Annotated[Path, typer.Option(help="The SAM template to run.", dir_okay=False)]
_Pairs = list[str] | None


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(local, name="local")
    command(app, examples=("darkroom demo --output images",))(demo)


@command(
    local,
    examples=(
        "darkroom local up",
        "darkroom local up --runtime comfy=comfyui",
        "darkroom local up --port 0 --runtime-url sdruntime=http://127.0.0.1:7860",
        "darkroom local up --parameter RateLimit=1000",
    ),
)
def up(
    session: Session,
    *,
    template: _Template = _TEMPLATE,
    port: Annotated[int, typer.Option(help="Port of the API; 0 picks a free one.")] = 8080,
    stack_name: Annotated[str, typer.Option(help="Name of the stack.")] = "darkroom",
    region: Annotated[str, typer.Option(help="Region that the emulated AWS plays.")] = "us-east-1",
    parameter: Annotated[
        _Pairs, typer.Option(metavar="NAME=VALUE", help="A parameter of the template; may be repeated.")
    ] = None,
    runtime: Annotated[
        _Pairs,
        typer.Option(metavar="NAME=TYPE", help="Run a further runtime beside the template's own; may be repeated."),
    ] = None,
    runtime_url: Annotated[
        _Pairs,
        typer.Option(
            metavar="NAME=URL", help="Use a real runtime in place of a runtime's preview; may be repeated."
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show metrics too.")] = False,
) -> None:
    """Start everything and keep it running until Ctrl-C.

    While it runs, the profile "local" is it. State is in memory: when it stops, tasks and images are gone, and no
    process is left.
    """
    parameters = _pairs("--parameter", "VALUE", parameter or ())
    runtimes = _pairs("--runtime", "TYPE", runtime or ())
    runtime_urls = _pairs("--runtime-url", "URL", runtime_url or ())
    _check(template)
    import asyncio

    with _installed():
        from darkroom_cli.local_runs import run_until_stopped
        from darkroom_local.cloud import Plan
    plan = Plan(
        template=template,
        stack_name=stack_name,
        region=region,
        port=port,
        parameters=parameters,
        runtimes=runtimes,
        runtime_urls=runtime_urls,
    )
    asyncio.run(run_until_stopped(session, plan, verbose=verbose))


def demo(
    session: Session,
    *,
    template: _Template = _TEMPLATE,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the images go.")] = Path("demo-output"),
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the parts' logs.")] = False,
) -> None:
    """Run the guide's own requests on a local cloud of their own, and show what comes of each.

    Ends with code 1 if anything is missing: an image, a callback message, an event.
    """
    _check(template)
    import asyncio

    with _installed():
        from darkroom_cli.local_runs import show_demo
    if not asyncio.run(show_demo(session, template, output, verbose=verbose)):
        raise typer.Exit(1)


@contextmanager
def _installed() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "darkroom_local":
            raise
        raise NotInstalledError from error


def _check(template: Path) -> None:
    if not template.is_file():
        hint = "Run this in the root of Darkroom's repository, or name the template with --template."
        raise UsageError(f"There is no {template}.", hint=hint)


def _pairs(option: str, what: str, texts: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if not name or not value:
            raise UsageError(f"{option} takes NAME={what}, not {text!r}.")
        if name in pairs:
            raise UsageError(f"{option} names {name} twice.")
        pairs[name] = value
    return pairs
