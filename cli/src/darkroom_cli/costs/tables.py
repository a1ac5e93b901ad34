"""How estimates are shown."""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

from rich.table import Table

from darkroom.models import JsonObject
from darkroom_cli.costs.estimates import Line
from darkroom_cli.costs.prices import GuideTable, PriceList, cents
from darkroom_cli.costs.workloads import Workload


def total(lines: Iterable[Line]) -> Decimal:
    """The sum, to the cent."""
    return cents(sum((line.usd for line in lines), Decimal(0)))


def by_service(
    guide: Iterable[tuple[str, Decimal]], lines: Iterable[Line]
) -> dict[str, tuple[Decimal, Decimal, Decimal]]:
    """For each service: the guide's figure, ours for what the guide counts, and ours for what it leaves out."""
    guides: defaultdict[str, Decimal] = defaultdict(Decimal)
    counted: defaultdict[str, Decimal] = defaultdict(Decimal)
    beyond: defaultdict[str, Decimal] = defaultdict(Decimal)
    for service, amount in guide:
        guides[service] += amount
    for line in lines:
        (counted if line.counted else beyond)[line.service] += line.usd
    names = dict.fromkeys([*guides, *counted, *beyond])
    return {name: (guides[name], counted[name], beyond[name]) for name in names}


def guide_table(guide: GuideTable) -> Table:
    """The guide's own table, each line to the cent, with what its headline counts."""
    table = Table(
        title=f"The user guide: {guide.images:,} images, prices of {guide.date:%B %Y}", title_justify="left"
    )
    table.add_column("service")
    table.add_column("what")
    for name in ("quantity", "price", "as printed", "in the sum"):
        table.add_column(name, justify="right")
    for line in guide.lines:
        marked = line.counted is not None
        counted = f"{line.in_headline:,.2f}" + ("*" if marked else " ")
        table.add_row(
            line.service, line.what, f"{line.quantity:,}", f"{line.price}", f"{line.printed:,.2f}", counted
        )
    table.add_section()
    table.add_row("total", "", "", "", f"{guide.printed_total:,.2f}", f"[bold]{guide.total:,.2f}[/] ")
    return table


def notes(guide: GuideTable) -> list[str]:
    """Why the lines as printed do not add up to the headline."""
    return [
        f"The guide says ${guide.headline}; its lines, as printed, add up to ${guide.printed_total:,.2f}.",
        "With the lines marked * counted as shown, they add up to what it says:",
        *(
            f"  * {line.service}, {line.what}: {line.printed} as printed, {line.in_headline} here: {line.why}"
            for line in guide.lines
            if line.counted is not None
        ),
    ]


def comparison_table(guide: GuideTable, load: Workload, lines: tuple[Line, ...]) -> Table:
    """Both figures, side by side, by service."""
    table = Table(title=f"A month with {load.images:,} images, US dollars", title_justify="left")
    table.add_column("service")
    for name in (
        "guide,\nits prices",
        "this design,\nwhat the guide counts",
        "this design,\nthe rest",
    ):
        table.add_column(name, justify="right")
    guides = guide.for_images(load.images)
    for service, amounts in by_service(guides, lines).items():
        table.add_row(service, *(f"{cents(amount):,.2f}" if amount else "" for amount in amounts))
    table.add_section()
    counted = total(line for line in lines if line.counted)
    whole = cents(sum((usd for _, usd in guides), Decimal(0)))
    table.add_row("total", f"{whole:,.2f}", f"{counted:,.2f}", f"{total(lines) - counted:,.2f}")
    table.add_row("[bold]this design, all[/]", "", f"[bold]{total(lines):,.2f}[/]", "")
    return table


def lines_table(lines: tuple[Line, ...]) -> Table:
    """This design, line by line."""
    table = Table(title="This design, line by line", title_justify="left")
    table.add_column("service")
    table.add_column("what")
    for name in ("quantity", "a", "US dollars"):
        table.add_column(name, justify="left" if name == "a" else "right")
    table.columns[3].header = "unit"
    for line in lines:
        table.add_row(line.service, line.what, f"{line.quantity:,.2f}", _unit(line.unit), f"{cents(line.usd):,.2f}")
    return table


def _unit(per: str) -> str:
    return "" if per in {"million", "thousand"} else per


def as_json(prices: PriceList, load: Workload, lines: tuple[Line, ...]) -> JsonObject:
    """Everything, for programs; amounts are texts, since they are exact."""
    guide = prices.guide
    return {
        "region": prices.region,
        "workload": load.model_dump(mode="json"),
        "guide": {
            "headline": str(guide.headline),
            "total": str(guide.total),
            "printed_total": str(guide.printed_total),
            "lines": [line.model_dump(mode="json") for line in guide.lines],
        },
        "design": {
            "total": str(total(lines)),
            "total_of_what_the_guide_counts": str(total(line for line in lines if line.counted)),
            "lines": [
                {
                    "service": line.service,
                    "what": line.what,
                    "quantity": str(round(line.quantity, 4)),
                    "unit": line.unit,
                    "usd": str(cents(line.usd)),
                    "varies": line.varies,
                    "counted_by_the_guide": line.counted,
                }
                for line in lines
            ],
        },
    }
