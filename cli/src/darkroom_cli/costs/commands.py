"""`darkroom cost`."""

from dataclasses import asdict, dataclass
from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer
from pydantic import ValidationError

from darkroom_cli.commands.registration import command
from darkroom_cli.commands.sessions import Session
from darkroom_cli.errors import UsageError


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise typer.BadParameter(f"{text!r} is no number") from None


def _read_assumptions(texts: list[str]) -> dict[str, str]:
    from darkroom_cli.costs.workloads import Workload

    pairs = [text.partition("=") for text in texts]
    unknown = sorted({name for name, _, _ in pairs} - Workload.model_fields.keys())
    if unknown or not all(sign for _, sign, _ in pairs):
        known = ", ".join(Workload.model_fields)
        raise UsageError(
            f"--assume takes NAME=NUMBER; {', '.join(unknown) or 'one'} is not that", hint=f"Names: {known}"
        )
    return {name: value for name, _, value in pairs}


@dataclass(frozen=True)
class Month:
    """What a month brings."""

    images: Annotated[int, typer.Option(min=0, help="Images a month.")] = 1_000_000
    seconds: Annotated[
        Decimal, typer.Option(parser=_exact, metavar="SECONDS", help="Of the GPU's time, an image.")
    ] = Decimal("1.5")
    gpu_price: Annotated[
        Decimal | None, typer.Option(parser=_exact, metavar="USD", help="A spot GPU node's price, an hour.")
    ] = None
    image_kb: Annotated[Decimal, typer.Option(parser=_exact, metavar="KIB", help="An image's size.")] = Decimal(150)
    gpu_busy: Annotated[
        Decimal, typer.Option(parser=_exact, metavar="SHARE", help="Of GPU nodes' time that is work; see `plan`.")
    ] = Decimal(1)
    own_network: Annotated[
        bool, typer.Option(help="Whether the VPC and its three NAT gateways are this deployment's.")
    ] = True


def cost(
    session: Session,
    *,
    month: Month,
    assume: Annotated[
        list[str] | None, typer.Option(metavar="NAME=NUMBER", help="Any other assumption; see docs/costs.md.")
    ] = None,
    details: Annotated[bool, typer.Option("--details", help="This design line by line, too.")] = False,
) -> None:
    """What a month costs: the user guide's table, and this design's figure beside it."""
    from darkroom_cli.costs.estimates import Estimate
    from darkroom_cli.costs.prices import PriceList
    from darkroom_cli.costs.tables import as_json, comparison_table, guide_table, lines_table, notes
    from darkroom_cli.costs.workloads import Workload

    given = asdict(month)
    given["seconds_per_image"] = given.pop("seconds")
    try:
        load = Workload.model_validate(given | _read_assumptions(assume or []))
    except ValidationError as error:
        faults = "; ".join(f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors())
        raise UsageError(faults) from error
    prices = PriceList.read()
    lines = Estimate(load, prices).lines
    if session.json:
        session.give_json(as_json(prices, load, lines))
        return
    session.out.print(guide_table(prices.guide))
    session.give_lines([*notes(prices.guide), ""])
    session.out.print(comparison_table(prices.guide, load, lines))
    if details:
        session.out.print(lines_table(lines))


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    examples = ("darkroom cost", "darkroom cost --images 200000 --seconds 6 --gpu-price 0.55 --details")
    command(app, examples=examples)(cost)
