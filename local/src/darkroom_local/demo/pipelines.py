"""The demo's pipelines: the documents of docs/examples/pipelines that need one runtime only."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from rich.table import Table

from darkroom.models import JsonObject
from darkroom_local.cloud import LocalCloud

PATIENCE = 40.0
"""How long all pipelines together may take, in seconds."""

_LOOK_EVERY = 0.3


@dataclass(frozen=True)
class DemoPipeline:
    """An example and what must come of it: its steps' ends, and how many images."""

    name: str
    steps: dict[str, str]
    images: int


PIPELINES = (
    DemoPipeline("draft-then-upscale", {"draft": "succeeded", "upscale": "succeeded"}, 1),
    DemoPipeline("four-variations", {"variations": "succeeded", "upscale": "succeeded"}, 4),
    DemoPipeline("retry-then-continue", {"best": "failed", "plain": "succeeded"}, 1),
)


@dataclass
class PipelineDemo:
    """One run of them. `folder` holds the documents."""

    cloud: LocalCloud
    folder: Path
    ends: dict[str, JsonObject] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    async def run(self) -> list[str]:
        """Run all side by side, and return what is missing; outside the repository, nothing is run."""
        if not self.folder.is_dir():
            return []
        async with aiohttp.ClientSession(headers={"x-api-key": self.cloud.api_key}) as session:
            await asyncio.gather(*(self._run(session, it) for it in PIPELINES))
        return self.problems

    async def _run(self, session: aiohttp.ClientSession, example: DemoPipeline) -> None:
        document = json.loads((self.folder / f"{example.name}.json").read_text())
        url = f"{self.cloud.api_url}/v1/pipelines"
        async with session.post(url, json=document | {"id": f"demo-{example.name}"}) as answer:
            pipeline: JsonObject = await answer.json(content_type=None)
        until = time.monotonic() + PATIENCE
        while pipeline.get("status") == "running" and time.monotonic() < until:
            await asyncio.sleep(_LOOK_EVERY)
            async with session.get(f"{url}/demo-{example.name}") as answer:
                pipeline = await answer.json(content_type=None)
        self.ends[example.name] = pipeline
        self.problems += [f"pipeline {example.name}: {it}" for it in _problems(example, pipeline)]

    def table(self) -> Table:
        """What came of each."""
        table = Table("pipeline", "status", "steps", "images", box=None, padding=(0, 2, 0, 0))
        for name, pipeline in self.ends.items():
            steps = ", ".join(f"{it['id']} {it['status']}" for it in pipeline.get("steps", []))
            table.add_row(name, pipeline.get("status", "refused"), steps, str(len(pipeline.get("images", []))))
        return table


def _problems(example: DemoPipeline, pipeline: JsonObject) -> Sequence[str]:
    steps = {it["id"]: it["status"] for it in pipeline.get("steps", [])}
    images = len(pipeline.get("images", []))
    facts = {
        f"ended as {pipeline.get('status', pipeline)}": pipeline.get("status") == "succeeded",
        f"its steps ended as {steps}": steps == example.steps,
        f"{images} images, not {example.images}": images == example.images,
    }
    return [problem for problem, holds in facts.items() if not holds]
