"""The demo's pipelines: the documents of docs/examples/pipelines."""

import asyncio
import io
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from rich.table import Table
from rich.text import Text

from darkroom.models import JsonObject
from darkroom_local.demo.api import Caller

PATIENCE = 60.0
"""How long all pipelines together may take, in seconds: as long as all tasks may."""

RUNTIMES = {"comfy": "comfyui"}
"""The runtimes that they need beside the template's own, with their types."""

STYLES = {"queued": "dim", "running": "yellow", "succeeded": "green", "failed": "red"}

_LOOK_EVERY = 0.3


@dataclass(frozen=True)
class DemoPipeline:
    """An example and what must come of it: its steps' ends, and the sizes of the images of those that succeed."""

    name: str
    steps: dict[str, str]
    sizes: dict[str, list[tuple[int, int]]]


PIPELINES = (
    DemoPipeline(
        "draft-then-upscale",
        {"draft": "succeeded", "upscale": "succeeded"},
        {"draft": [(256, 256)], "upscale": [(512, 512)]},
    ),
    DemoPipeline(
        "webui-then-comfyui",
        {"draft": "succeeded", "graph": "succeeded"},
        {"draft": [(256, 256)], "graph": [(256, 256)]},
    ),
    DemoPipeline(
        "four-variations",
        {"variations": "succeeded", "upscale": "succeeded"},
        {"variations": [(128, 128)] * 4, "upscale": [(256, 256)] * 4},
    ),
    DemoPipeline("retry-then-continue", {"best": "failed", "plain": "succeeded"}, {"plain": [(128, 128)]}),
)


@dataclass
class Run:
    """A pipeline as it ended, and the files of each step's images."""

    pipeline: JsonObject
    files: dict[str, list[Path]] = field(default_factory=dict)


@dataclass
class PipelineDemo:
    """One run of them. `folder` holds the documents; images go to `output`."""

    caller: Caller
    folder: Path
    output: Path
    runs: dict[str, Run] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    async def run(self) -> list[str]:
        """Run all side by side, and return what is missing."""
        for example in PIPELINES:
            path = self.folder / f"{example.name}.json"
            if path.is_file():
                self.runs[example.name] = Run(await self.caller.run(_id(example), json.loads(path.read_text())))
            else:
                self.problems.append(f"pipeline {example.name}: there is no {path}")
        started = [example for example in PIPELINES if example.name in self.runs]
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and (running := [it for it in started if self._runs(it)]):
            await asyncio.sleep(_LOOK_EVERY)
            for example in running:
                self.runs[example.name].pipeline = await self.caller.follow(_id(example))
        for example in started:
            await self._download(example)
            self.problems += [
                f"pipeline {example.name}: {it}" for it in _problems(example, self.runs[example.name])
            ]
        return self.problems

    def _runs(self, example: DemoPipeline) -> bool:
        return self.runs[example.name].pipeline.get("status") == "running"

    async def _download(self, example: DemoPipeline) -> None:
        """Fetch the images of the tasks that succeeded, in the order of the items."""
        files = self.runs[example.name].files
        for task in sorted(await self.caller.tasks_of(_id(example)), key=lambda it: it["id"]):
            if task["status"] == "succeeded":
                step = task["prefix"].rpartition("/")[2]  # images lie at <prefix>/<id>/<step>/…
                files.setdefault(step, []).extend(await self.caller.download(task["id"], self.output))

    def table(self) -> Table:
        """What came of each."""
        table = Table("pipeline", "runtime", "status", "images", box=None, padding=(0, 2, 0, 0))
        for example in (it for it in PIPELINES if it.name in self.runs):
            run = self.runs[example.name]
            table.add_row(Text(example.name, "bold"), "", _status(run.pipeline.get("status", "refused")), "")
            for step in run.pipeline.get("steps", []):
                files = "\n".join(path.name for path in run.files.get(step["id"], []))
                table.add_row(f"  {step['id']}", step["runtime"], _status(step["status"]), files)
        return table


def _id(example: DemoPipeline) -> str:
    return f"demo-{example.name}"


def _problems(example: DemoPipeline, run: Run) -> Sequence[str]:
    pipeline = run.pipeline
    steps = {it["id"]: it["status"] for it in pipeline.get("steps", [])}
    sizes = {step: [_size(path) for path in files] for step, files in run.files.items()}
    names = {path.name for files in run.files.values() for path in files}
    missing = [link for link in pipeline.get("images", []) if link.rpartition("/")[2] not in names]
    facts = {
        f"ended as {pipeline.get('status', pipeline)}": pipeline.get("status") == "succeeded",
        f"its steps ended as {steps}": steps == example.steps,
        f"images of {sizes}, not of {example.sizes}": sizes == example.sizes,
        f"its result has no images, or some that no step made: {missing}": bool(pipeline.get("images"))
        and not missing,
    }
    return [problem for problem, holds in facts.items() if not holds]


def _status(status: str) -> Text:
    return Text(status, STYLES.get(status, ""))


def _size(path: Path) -> tuple[int, int]:
    return Image.open(io.BytesIO(path.read_bytes())).size
