"""When tasks come: `constant:0.5+burst:200@600`, or a CSV file.

- `constant:RATE` tasks a second, from beginning to end;
- `ramp:FROM-TO` tasks a second, from the beginning's rate to the end's;
- `burst:COUNT@SECOND` tasks at once (`@SECOND` may be left out: 60);
- `csv:FILE` with the columns `second` and `tasks` (a header is not needed).

Several, with `+` between them, come together. Evenly spaced, or at random with the same rates.
"""

import csv
import math
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from darkroom_cli.errors import UsageError

_BURST_AT = 60.0
_MOST = 500_000


def read_arrivals(text: str, duration: float, chance: random.Random | None = None) -> list[float]:
    """The seconds at which tasks come, in order; with `chance`, at random.

    Raises:
        UsageError: the text is none of the above, the file cannot be read, or there are too many tasks.
    """
    times = sorted(time for part in text.split("+") for time in _read_part(part.strip(), duration, chance))
    if not times or len(times) > _MOST:
        raise UsageError(f"{text!r} makes no task, or more than {_MOST:,}")
    return times


def _read_part(text: str, duration: float, chance: random.Random | None) -> list[float]:
    kind, _, rest = text.partition(":")
    try:
        match kind:
            case "constant":
                return list(islice(_ramp(float(rest), float(rest), duration, chance), _MOST + 1))
            case "ramp":
                first, _, last = rest.partition("-")
                return list(islice(_ramp(float(first), float(last), duration, chance), _MOST + 1))
            case "burst":
                count, _, at = rest.partition("@")
                return [float(at or _BURST_AT)] * min(int(count), _MOST + 1)
            case "csv":
                return _read_csv(Path(rest))
    except (ValueError, OSError) as error:
        raise UsageError(f"{text!r}: {error}") from error
    raise UsageError(f"{text!r} is no arrival curve", hint="As in constant:0.5, ramp:0-2, burst:200@60, csv:FILE.")


def _ramp(first: float, last: float, duration: float, chance: random.Random | None) -> Iterator[float]:
    """Times at which the integral of the rate passes 1, 2, 3 …, or a Poisson process's steps."""
    if first < 0 or last < 0 or not math.isfinite(first + last):
        raise ValueError("rates are positive numbers")
    slope = (last - first) / duration
    wanted = 0.0
    while True:
        wanted += chance.expovariate(1) if chance else 1
        rest = first * first + 2 * slope * wanted
        if rest < 0 or (slope == 0 and first == 0):
            return
        time = wanted / first if slope == 0 else (math.sqrt(rest) - first) / slope
        if time > duration:
            return
        yield time


def _read_csv(path: Path) -> list[float]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if row]
    if rows and not rows[0][0].replace(".", "", 1).strip().isdigit():
        rows = rows[1:]
    times: list[float] = []
    for second, count in rows:
        times += [float(second)] * int(count)
    return times
