"""Prices, and the user guide's cost table: read from `prices.yaml`, which names the date and source of each."""

from collections.abc import Mapping
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from importlib import resources
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict

CENT = Decimal("0.01")
_UNITS = {"million": Decimal(1_000_000), "thousand": Decimal(1000)}

Exact = Annotated[Decimal, BeforeValidator(str)]
"""A number as it is written: a YAML float would not be one."""


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Price(_Read):
    """What one unit costs, in US dollars.

    `per` is the unit; `million` and `thousand` are of whatever `what` counts.
    """

    usd: Exact
    per: Literal["hour", "month", "million", "thousand", "GB", "GB-month", "GB-second", "MiB/s-month", "IOPS-month"]
    what: str
    date: date
    source: str

    def of(self, quantity: Decimal) -> Decimal:
        """What a quantity costs: of single requests, hours, gigabytes …; not rounded."""
        return quantity / _UNITS.get(self.per, Decimal(1)) * self.usd


class GuideLine(_Read):
    """A line of the guide's table.

    Attributes:
        quantity: in units of `what`.
        price: in US dollars a unit.
        printed: the total that the line prints.
        varies: whether it grows with the number of images.
        counted: what it contributes to the guide's headline, where that is not `printed`.
        why: how that is known.
    """

    service: str
    what: str
    quantity: Exact
    price: Exact
    printed: Exact
    varies: bool
    counted: Exact | None = None
    why: str = ""

    @property
    def in_headline(self) -> Decimal:
        """What the line contributes to the headline."""
        return self.printed if self.counted is None else self.counted


class GuideTable(_Read):
    """The guide's estimate of a month."""

    date: date
    images: int
    headline: Exact
    lines: tuple[GuideLine, ...]

    @property
    def total(self) -> Decimal:
        """The lines' sum as the headline counts them."""
        return sum((line.in_headline for line in self.lines), Decimal(0))

    def for_images(self, images: int) -> tuple[tuple[str, Decimal], ...]:
        """Service and amount of each line for another number of images: those that vary grow with it."""
        share = Decimal(images) / self.images
        return tuple((line.service, line.in_headline * (share if line.varies else 1)) for line in self.lines)

    @property
    def printed_total(self) -> Decimal:
        """The sum of what the lines print, which is not the headline."""
        return sum((line.printed for line in self.lines), Decimal(0))


class PriceList(_Read):
    """All prices of a region, and the guide's table."""

    region: str
    prices: Mapping[str, Price]
    guide: GuideTable

    @classmethod
    @cache
    def read(cls) -> "PriceList":
        """The prices that come with this package."""
        text = resources.files(__package__).joinpath("prices.yaml").read_text(encoding="utf-8")
        return cls.model_validate(yaml.safe_load(text))


def cents(amount: Decimal) -> Decimal:
    """An amount rounded to the cent, as a bill is."""
    return amount.quantize(CENT, ROUND_HALF_UP)
