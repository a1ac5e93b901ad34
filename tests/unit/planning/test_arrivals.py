"""Arrival curves."""

import random
from pathlib import Path

import pytest

from darkroom_cli.errors import UsageError
from darkroom_cli.planning.arrivals import read_arrivals


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("constant:0.5", [2, 4, 6, 8, 10]),
        ("ramp:0-1", [4.472, 6.325, 7.746, 8.944, 10]),  # the root of 20 n: the rate's integral is t²/20
        ("ramp:1-0", [1.056, 2.254, 3.675, 5.528, 10]),
        ("burst:3", [60, 60, 60]),
        ("burst:2@5", [5, 5]),
        ("burst:1@7 + constant:0.2", [5, 7, 10]),
    ],
)
def test_a_curve_is_read(text: str, expected: list[float]) -> None:
    assert expected == pytest.approx(read_arrivals(text, 10), abs=0.001)


@pytest.mark.parametrize("header", ["second,tasks\n", ""])
def test_a_csv_file_is_read_with_and_without_a_header(tmp_path: Path, header: str) -> None:
    path = tmp_path / "curve.csv"
    path.write_text(f"{header}0,2\n1.5,1\n\n4,0\n")
    assert [0, 0, 1.5] == read_arrivals(f"csv:{path}", 10)


def test_random_arrivals_have_the_rate_of_the_curve() -> None:
    times = read_arrivals("ramp:0-2", 3600, random.Random(1))  # noqa: S311  a simulation
    assert 3600 == pytest.approx(len(times), rel=0.05)
    assert 2700 == pytest.approx(sum(time > 1800 for time in times), rel=0.05)  # three quarters in the later half


@pytest.mark.parametrize(
    "text",
    ["", "steady:1", "constant:fast", "constant:-1", "constant:0", "burst:many", "csv:/none", "burst:600000"],
)
def test_what_is_no_curve_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_arrivals(text, 10)
