"""The bench's results in the documentation: a table and a plot."""

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from bench import Case, Pair

_HEAD = """| task | GPU time | GPU busy | goal | serial | beyond the run | serial | CPU a task | peak memory |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""


def write(pairs: "dict[Case, Pair]", docs: Path) -> None:
    """Write the table into `performance.md`, where the last one stands, and the plot into `pictures`."""
    rows = [
        f"| {case.shape.name} | {1000 * case.seconds:.0f} ms | **{ours.busy:.1%}** | "
        f"{case.shape.goals[case.seconds]:.0%} | {serial.busy:.1%} | {1000 * ours.overhead:.0f} ms | "
        f"{1000 * serial.overhead:.0f} ms | {1000 * ours.cpu:.0f} ms | {ours.memory:.0f} MB |\n"
        for case, (ours, serial) in pairs.items()
    ]
    page = docs / "performance.md"
    before, rest = page.read_text().split(_HEAD)
    page.write_text(before + _HEAD + "".join(rows) + rest[rest.index("\n\n") + 1 :])
    _plot(pairs, docs / "pictures" / "agent-busy.png")


def _plot(pairs: "dict[Case, Pair]", path: Path) -> None:
    shapes = list(dict.fromkeys(case.shape for case in pairs))
    figure, axes = plt.subplots(1, len(shapes), figsize=(10, 3.6), sharey=True, layout="constrained", squeeze=False)
    for axis, shape in zip(axes[0], shapes, strict=True):
        cases = [case for case in pairs if case.shape is shape]
        places = range(len(cases))
        for offset, colour, label in ((-0.2, "#2a9d8f", "prefetch"), (0.2, "#adb5bd", "serial")):
            heights = [100 * pairs[case][0 if label == "prefetch" else 1].busy for case in cases]
            bars = axis.bar([place + offset for place in places], heights, 0.4, color=colour, label=label)
            axis.bar_label(bars, fmt="%.0f", fontsize=8)
        for place, case in zip(places, cases, strict=True):
            goal = 100 * shape.goals[case.seconds]
            axis.plot([place - 0.45, place + 0.05], [goal, goal], color="#e76f51", linewidth=1.5, zorder=3)
        axis.set_xticks(list(places), [f"{1000 * case.seconds:.0f} ms" for case in cases])
        axis.set(title=shape.name, xlabel="GPU time a task", ylim=(0, 112))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel("GPU busy, %")
    axes[0][0].legend(loc="lower right", fontsize=8)
    figure.suptitle("How busy an agent keeps its GPU (line: the goal)", fontsize=11)
    figure.savefig(path, dpi=110)
