"""`darkroom plan`."""

import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from darkroom_cli.commands.registration import command
from darkroom_cli.commands.sessions import Session
from darkroom_cli.errors import UsageError

if TYPE_CHECKING:
    from darkroom_cli.planning.assumptions import Assumptions
    from darkroom_cli.planning.simulation import Outage


@dataclass(frozen=True)
class Load:
    """What comes."""

    arrivals: Annotated[
        str,
        typer.Option(
            "--arrivals",
            "-a",
            metavar="CURVE",
            help="constant:0.5, ramp:0-2, burst:200@60, csv:FILE; + joins several.",
        ),
    ] = "burst:200@60"
    duration: Annotated[
        str, typer.Option("--duration", "-d", metavar="TIME", help="Of constant and ramp: 30m, 2h.")
    ] = "30m"
    task: Annotated[float, typer.Option("--task", "-t", metavar="SECONDS", help="The GPU's work on a task.")] = 4.0
    at_random: Annotated[
        bool, typer.Option("--random", help="Tasks come at random with these rates, not evenly.")
    ] = False
    outage: Annotated[
        str, typer.Option(metavar="BEGIN-END", help="KEDA cannot read the queue from second to second.")
    ] = ""
    seed: Annotated[int, typer.Option(help="The same seed makes the same run.")] = 0


@dataclass(frozen=True)
class World:
    """What surrounds the autoscalers."""

    cached: Annotated[
        bool | None,
        typer.Option("--cached/--uncached", help="Nodes start with the images; else as the values say."),
    ] = None
    assume: Annotated[
        list[str] | None, typer.Option(metavar="NAME=NUMBER", help="As in node=60; see docs/scaling.md.")
    ] = None


def read_assumptions(texts: list[str], task: float) -> "Assumptions":
    """The assumptions with what was given in their place.

    Raises:
        UsageError: one is unknown or not allowed.
    """
    from pydantic import ValidationError

    from darkroom_cli.planning.assumptions import Assumptions

    given: dict[str, object] = {"task": task}
    given |= {name: value for name, _, value in (text.partition("=") for text in texts)}
    try:
        return Assumptions.model_validate(given)
    except ValidationError as error:
        faults = "; ".join(f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors())
        raise UsageError(f"--assume {faults}", hint=f"Names: {', '.join(Assumptions.model_fields)}") from error


def read_outage(text: str) -> "Outage":
    """The outage that `BEGIN-END` stands for; none for an empty text.

    Raises:
        UsageError: it stands for nothing.
    """
    from darkroom_cli.planning.simulation import Outage

    if not text:
        return Outage()
    match = re.fullmatch(r"(\d+)-(\d+)", text)
    if match is None:
        raise UsageError(f"{text!r} is no outage such as 120-600")
    return Outage(float(match[1]), float(match[2]))


def plan(
    session: Session,
    values: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[VALUES]...", help="Values files; each over the chart's defaults."),
    ] = None,
    *,
    load: Load,
    world: World,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", dir_okay=False, help="Draw a picture (PNG) there.")
    ] = None,
) -> None:
    """Simulate how a runtime scales: how long tasks wait, and what it costs. Several values files are compared."""
    from darkroom_cli.planning.arrivals import read_arrivals
    from darkroom_cli.planning.drawings import draw
    from darkroom_cli.planning.reports import as_json, summary_table
    from darkroom_cli.planning.scaling import Values, seconds
    from darkroom_cli.planning.simulation import Conditions, Simulation

    chance = random.Random(load.seed) if load.at_random else None  # noqa: S311  a simulation
    times = read_arrivals(load.arrivals, seconds(load.duration), chance)
    assumptions = read_assumptions(world.assume or [], load.task)
    chosen = [Values.read(path) for path in values or []] or [Values()]
    if world.cached is not None:
        chosen = [one.model_copy(update={"cached": world.cached}) for one in chosen]
    conditions = Conditions(load.seed, read_outage(load.outage))
    runs = [Simulation(one, assumptions, times, conditions).run() for one in chosen]
    title = f"{load.arrivals}: {len(times):,} tasks of {load.task:g} s"
    if output is not None:
        draw(runs, output, title)
        session.say(f"drawn: {output}")
    session.give(as_json(runs), lambda: summary_table(runs, title))


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    examples = (
        "darkroom plan --arrivals burst:200 --task 4 --output plan.png",
        "darkroom plan mine.yaml theirs.yaml --arrivals ramp:0-4 --duration 1h --output both.png",
        "darkroom plan --arrivals csv:yesterday.csv --assume node=60 --assume gpu_price=0.6 --json",
    )
    command(app, examples=examples)(plan)
