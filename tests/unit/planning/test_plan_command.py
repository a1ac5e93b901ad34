"""`darkroom plan`: values files, pictures, and the chart's own values."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from darkroom_cli.errors import UsageError
from darkroom_cli.main import app
from darkroom_cli.planning.assumptions import Assumptions
from darkroom_cli.planning.scaling import Scaling, Values, seconds

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts/darkroom-runtime/values.yaml"
DOCS = ROOT / "docs"
RUN = ("plan", "--arrivals", "burst:20@5", "--task", "2")


def plan(*arguments: str | Path) -> Any:
    result = CliRunner().invoke(app, [*RUN, *map(str, arguments), "--json"])
    assert 0 == result.exit_code, result.output
    return json.loads(result.stdout)["runs"]


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_defaults_are_the_charts() -> None:
    chart = yaml.safe_load(CHART.read_text())
    assert Values.of(chart, "") == Values(name="")
    assert chart["runtime"]["scaling"].keys() == Scaling().model_dump(by_alias=True).keys()


def test_values_files_are_compared_by_their_names(tmp_path: Path) -> None:
    slow = write(tmp_path / "slow.yaml", "runtime: {scaling: {maxReplicaCount: 1}}")
    fast = write(tmp_path / "fast.yaml", "runtime: {scaling: {queueLength: 1}}")
    runs = plan(slow, fast)
    assert ["slow", "fast"] == [run["name"] for run in runs]
    assert [1, 20] == [run["replicas_most"] for run in runs]
    assert runs[0]["wait_most"] > runs[1]["wait_most"]


def test_a_snapshot_in_the_values_means_nodes_with_images(tmp_path: Path) -> None:
    named = write(tmp_path / "a.yaml", "karpenter: {nodeTemplate: {dataVolume: {snapshotID: snap-1}}}")
    assert plan(named)[0]["first_image"] == plan("--cached")[0]["first_image"] < plan()[0]["first_image"]


def test_an_hpa_configuration_is_laid_over_the_charts_behaviour() -> None:
    extra = {"scaleDown": {"stabilizationWindowSeconds": 7}}
    values = Values.of({"runtime": {"scaling": {"extraHPAConfig": extra}}}, "x")
    assert 7 == values.scaling.behavior.scale_down.stabilization_window_seconds
    assert Scaling().behavior.scale_down.policies == values.scaling.behavior.scale_down.policies


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("runtime: {scaling: {queueLenght: 5}}", "queueLenght"),
        ("runtime: {scaling: {queueLength: 0}}", "queueLength"),
        ("runtime: [", "expected"),
        ("karpenter: {provisioner: {disruption: {consolidateAfter: soon}}}", "soon"),
    ],
)
def test_values_that_make_no_sense_are_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        Values.read(write(tmp_path / "wrong.yaml", text))


@pytest.mark.parametrize(("text", "expected"), [("30s", 30), ("5m", 300), ("1.5h", 5400), ("Never", float("inf"))])
def test_durations_are_karpenters(text: str, expected: float) -> None:
    assert expected == seconds(text)


@pytest.mark.parametrize("options", [["--assume", "moon=1"], ["--assume", "node=-1"], ["--outage", "soon"]])
def test_an_assumption_that_makes_no_sense_is_refused(options: list[str]) -> None:
    result = CliRunner().invoke(app, [*RUN, *options])
    assert 2 == result.exit_code
    assert "Traceback" not in result.output


def test_a_picture_is_drawn_alike_each_time(tmp_path: Path) -> None:
    pictures = [tmp_path / "one.png", tmp_path / "two.png"]
    other = write(tmp_path / "other.yaml", "runtime: {scaling: {minReplicaCount: 1}}")
    for picture in pictures:
        plan(CHART, other, "--output", picture)
    first, second = (picture.read_bytes() for picture in pictures)
    assert first == second
    assert b"\x89PNG" == first[:4]
    assert struct.unpack(">II", first[16:24]) > (1000, 700)


def test_the_documentation_tells_what_the_simulation_gives() -> None:
    text = (DOCS / "scaling.md").read_text(encoding="utf-8")
    curve = "constant:0.8+burst:150@300+burst:100@1200"
    files = sorted((DOCS / "examples/scaling").glob("*.yaml"))
    options = ["--arrivals", curve, "--duration", "40m", "--task", "4", "--json"]
    shown = CliRunner().invoke(app, ["plan", *map(str, files), *options])
    for run in json.loads(shown.stdout)["runs"]:
        first = "-" if run["first_image"] is None else f"{run['first_image']:.0f}"
        waits = f"{run['wait_median']:.1f} | {run['wait_95']:.0f} | {run['wait_most']:.0f}"
        assert f"| `{run['name']}` | {first} | {waits} | {run['replicas_most']} | {run['busy']:.0%} | " in text
    for name, field in Assumptions.model_fields.items():
        assert f"| `{name}` | {field.default:g} |" in text


def test_the_table_shows_each_phase() -> None:
    result = CliRunner().invoke(app, [*RUN], env={"COLUMNS": "120"})
    for name in ("first image after", "KEDA notices", "Karpenter's node is ready", "model is loaded"):
        assert name in result.output
