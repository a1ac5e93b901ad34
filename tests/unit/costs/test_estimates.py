"""This design's month."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from darkroom_cli.costs.estimates import Estimate, Line
from darkroom_cli.costs.prices import PriceList, cents
from darkroom_cli.costs.tables import total
from darkroom_cli.costs.workloads import Workload
from darkroom_cli.main import app

D = Decimal


def estimate(**changes: object) -> tuple[Line, ...]:
    return Estimate(Workload.model_validate(changes), PriceList.read()).lines


def usd(lines: tuple[Line, ...], service: str, what: str = "") -> Decimal:
    return cents(sum((line.usd for line in lines if line.service == service and what in line.what), D(0)))


def test_with_the_guides_assumptions_what_both_have_costs_the_same() -> None:
    lines = estimate()
    assert D("207.00") == usd(lines, "Amazon EC2", "g5.2xlarge")
    assert D("138.24") == usd(lines, "Amazon EC2", "m5.large")
    assert D("72.00") == usd(lines, "Amazon EKS")
    assert D("3.50") == usd(lines, "Amazon API Gateway")
    assert D("13.29") == usd(lines, "Amazon S3")


def test_writes_to_the_table_are_counted_by_hand() -> None:
    # a record of 1.5 KiB takes 2 units: written 3 times; 4 writes of its index's entry; 2 of its announcement
    assert D("7.50") == usd(estimate(), "Amazon DynamoDB", "write")  # 12 million units at 0.625


@pytest.mark.parametrize(
    ("changes", "service", "expected"),
    [
        ({"gpu_price": "1"}, "Amazon EC2", "554.91"),  # 416.67 h at 1, and 138.24
        ({"seconds_per_image": "3"}, "Amazon EC2", "552.24"),  # twice 207.00, and 138.24
        ({"gpu_busy": "0.5"}, "Amazon EC2", "552.24"),  # half the time idle is the same
        ({"on_demand_share": "1"}, "Amazon EC2", "643.24"),  # 416.67 h at 1.212, and 138.24
        ({"image_kb": "300"}, "Amazon S3", "16.58"),  # 10.00 and twice 3.29
        ({"images": 0}, "Amazon VPC", "108.00"),  # three gateways and addresses for 720 h
        ({"own_network": False}, "Amazon VPC", "0.00"),
    ],
)
def test_an_assumption_changes_what_it_is_about(changes: dict[str, object], service: str, expected: str) -> None:
    assert D(expected) == usd(estimate(**changes), service)


def test_volumes_that_stay_fast_cost_more_than_those_that_are_set_back() -> None:
    short, long = estimate(node_hours="0.05"), estimate(node_hours="10")
    assert usd(short, "Amazon EBS") > 3 * usd(long, "Amazon EBS")


def test_the_command_prints_the_guides_headline_and_this_designs_total() -> None:
    shown = CliRunner().invoke(app, ["cost", "--details"], env={"COLUMNS": "160"})
    assert 0 == shown.exit_code, shown.output
    assert "436.72" in shown.output
    assert f"{total(estimate()):,.2f}" in shown.output


def test_the_command_gives_programs_exact_amounts() -> None:
    shown = CliRunner().invoke(app, ["cost", "--images", "2000000", "--assume", "hours=730", "--json"])
    given = json.loads(shown.stdout)
    assert "436.72" == given["guide"]["headline"] == given["guide"]["total"]
    assert "730" == given["workload"]["hours"]
    assert str(total(estimate(images=2_000_000, hours="730"))) == given["design"]["total"]


@pytest.mark.parametrize("options", [["--assume", "moon=1"], ["--assume", "hours=0"], ["--gpu-price", "much"]])
def test_an_assumption_that_makes_no_sense_is_refused(options: list[str]) -> None:
    shown = CliRunner().invoke(app, ["cost", *options])
    assert 2 == shown.exit_code
    assert "Traceback" not in shown.output


def test_the_documentation_tells_the_figures_that_the_command_prints() -> None:
    text = (Path(__file__).parents[3] / "docs/costs.md").read_text(encoding="utf-8")
    lines = estimate()
    counted = total(tuple(line for line in lines if line.counted))
    for figure in ("436.72", "436.42", str(counted), str(total(lines) - counted), str(total(lines))):
        assert figure in text
