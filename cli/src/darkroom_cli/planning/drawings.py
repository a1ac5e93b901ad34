"""Pictures of runs: backlog, replicas, waiting times, cost, and the time to the first image in its phases."""

from collections.abc import Sequence
from io import BytesIO
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom_cli.errors import NotInstalledError
from darkroom_cli.planning.simulation import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ("#0b6e99", "#d1495b", "#3d8b37", "#8f5db7", "#c77d0a", "#5c5c5c")
_PHASES = ("#9aa5b1", "#c77d0a", "#0b6e99", "#8f5db7", "#3d8b37", "#d1495b")
_DPI = 110
_STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#dddddd",
    "legend.frameon": False,
}


def draw(runs: Sequence[Run], path: Path, title: str) -> None:
    """Write a PNG of the runs, side by side where there are several.

    Raises:
        NotInstalledError: matplotlib is not there.
    """
    try:
        import matplotlib as mpl
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from PIL import Image
    except ImportError as error:
        raise NotInstalledError(
            "Pictures need matplotlib.", hint="Get it: pip install 'darkroom-cli[plan]'"
        ) from error
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(11, 8.2), layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
        grid = figure.add_gridspec(3, 2, height_ratios=(1, 1, 0.28 + 0.16 * len(runs)))
        _draw_backlog(figure.add_subplot(grid[0, 0]), runs)
        _draw_replicas(figure.add_subplot(grid[0, 1]), runs)
        _draw_waits(figure.add_subplot(grid[1, 0]), runs)
        _draw_cost(figure.add_subplot(grid[1, 1]), runs)
        _draw_phases(figure.add_subplot(grid[2, :]), runs)
        picture = BytesIO()
        figure.savefig(picture, dpi=_DPI)
    # 64 colours are enough, and a third of the size; nothing in the file tells when it was made
    Image.open(picture).convert("RGB").quantize(64).save(path, "PNG", optimize=True)


def _minutes(run: Run) -> list[float]:
    return [sample.time / 60 for sample in run.samples]


def _draw_backlog(axes: "Axes", runs: Sequence[Run]) -> None:
    for run, colour in zip(runs, cycle(_COLOURS), strict=False):
        waiting = [sample.waiting for sample in run.samples]
        axes.step(_minutes(run), waiting, where="post", color=colour, label=run.values.name)
    _finish(axes, "Tasks that wait", "tasks")
    if len(runs) > 1:
        axes.legend()


def _draw_replicas(axes: "Axes", runs: Sequence[Run]) -> None:
    for run, colour in zip(runs, cycle(_COLOURS), strict=False):
        minutes = _minutes(run)
        label = "" if len(runs) > 1 else "wanted"
        axes.step(
            minutes, [sample.replicas for sample in run.samples], where="post", color=colour, ls=":", label=label
        )
        label = "" if len(runs) > 1 else "ready"
        axes.step(minutes, [sample.ready for sample in run.samples], where="post", color=colour, label=label)
        if len(runs) == 1:
            nodes = [sample.nodes for sample in run.samples]
            axes.step(minutes, nodes, where="post", color="#999999", lw=1, label="nodes paid for")
    _finish(axes, "Replicas: ready (line) and wanted (dotted)", "pods")
    locator: Any = axes.yaxis.get_major_locator()
    locator.set_params(integer=True)
    if len(runs) == 1:
        axes.legend()


def _draw_waits(axes: "Axes", runs: Sequence[Run]) -> None:
    for run, colour in zip(runs, cycle(_COLOURS), strict=False):
        waits = sorted(task.waited for task in run.tasks if task.started is not None)
        shares = [100 * (rank + 1) / len(run.tasks) for rank in range(len(waits))]
        axes.step([0.0, *waits], [0.0, *shares], where="post", color=colour)
    axes.set_xlabel("seconds")
    axes.set_ylabel("% of tasks")
    axes.set_ylim(0, 102)
    axes.set_xlim(left=0)
    axes.set_title("Waited at most so long")


def _draw_cost(axes: "Axes", runs: Sequence[Run]) -> None:
    for run, colour in zip(runs, cycle(_COLOURS), strict=False):
        axes.plot(_minutes(run), [sample.usd for sample in run.samples], color=colour)
    _finish(axes, "GPU nodes cost so far", "US dollars")


def _draw_phases(axes: "Axes", runs: Sequence[Run]) -> None:
    axes.set_title("From a request at rest to its image")
    names = list(dict.fromkeys(phase.name for run in runs for phase in run.phases))
    for row, run in enumerate(runs):
        begin = 0.0
        for phase in run.phases:
            colour = _PHASES[names.index(phase.name) % len(_PHASES)]
            axes.barh(row, phase.seconds, left=begin, color=colour, height=0.62)
            begin += phase.seconds
        axes.text(begin, row, f" {begin:.0f} s" if run.phases else " a pod was ready", va="center")
    for name in names:
        axes.barh(0, 0, color=_PHASES[names.index(name) % len(_PHASES)], label=name)
    axes.set_yticks(range(len(runs)), [run.values.name for run in runs])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("seconds")
    axes.margins(x=0.08)
    if names:
        axes.legend(
            ncols=len(names), loc="upper center", bbox_to_anchor=(0.5, -0.42), fontsize=8, columnspacing=1.2
        )


def _finish(axes: "Axes", title: str, label: str) -> None:
    axes.set_title(title)
    axes.set_xlabel("minutes")
    axes.set_ylabel(label)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
