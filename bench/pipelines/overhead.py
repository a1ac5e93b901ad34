"""What a step costs beyond its task, on the local cloud: seconds, and state transitions.

`python bench/pipelines/overhead.py [STEPS]` runs one pipeline of so many steps one after the other (20 unless told)
and one whose steps run side by side. A step's overhead is the time from one task's end to the next one's start: of
the state machine, its functions, the table's stream. On AWS the functions are faster and Step Functions is slower.
"""

import asyncio
import sys
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp

from darkroom.aws.pipeline_store import DynamoPipelineStore
from darkroom.aws.task_store import DynamoTaskStore
from darkroom.pipelines import PipelineKey
from darkroom_local.cloud import LocalCloud, Plan, run_cloud

CONTENT = {"prompt": "a dog", "steps": 1, "width": 64, "height": 64}
TRANSITIONS = {"pipeline": 6, "layer": 3, "step": 3, "step with a condition": 5, "step with foreach": 5, "item": 2}
"""As `tests/unit/test_pipeline_runs.py` counts them."""


def document(count: int, *, chained: bool) -> dict[str, Any]:
    """So many small steps."""
    steps = [
        {
            "id": f"s{number}",
            "runtime": "sdruntime",
            "type": "text-to-image",
            "content": CONTENT,
            "needs": [f"s{number - 1}"] if chained and number else [],
        }
        for number in range(count)
    ]
    return {"steps": steps}


async def run(cloud: LocalCloud, session: aiohttp.ClientSession, body: dict[str, Any]) -> tuple[float, list[float]]:
    """Seconds from request to end, and the gaps between one task's end and the next one's beginning."""
    began = time.monotonic()
    url = f"{cloud.api_url}/v1/pipelines"
    async with session.post(url, json=body) as answer:
        id_ = (await answer.json())["id"]
    status = "running"
    while status == "running":
        await asyncio.sleep(0.1)
        async with session.get(f"{url}/{id_}") as answer:
            status = (await answer.json())["status"]
    took = time.monotonic() - began
    (api,) = cloud.stack.rest_apis
    key, client = PipelineKey(api.keys[cloud.api_key], id_), cloud.stack.client("dynamodb")
    store = DynamoPipelineStore(client, cloud.stack.outputs["PipelinesTable"])
    tasks = DynamoTaskStore(client, cloud.stack.outputs["TasksTable"])
    found = [tasks.get(place) for it in store.assignments(key) if (place := it.key(key.owner)) is not None]
    spans = sorted((task.created_at, task.finished_at or task.created_at) for task in found if task is not None)
    return took, [(later[0] - earlier[1]).total_seconds() for earlier, later in pairwise(spans)]


async def main(count: int) -> None:
    """Run both, after one that warms the functions up."""
    plan = Plan(Path("sam/template.yaml"), parameters={"RateLimit": "1000", "BurstLimit": "1000"})
    async with run_cloud(plan, lambda *_: None) as cloud, aiohttp.ClientSession() as session:
        session.headers["x-api-key"] = cloud.api_key
        await run(cloud, session, document(2, chained=True))
        chained, gaps = await run(cloud, session, document(count, chained=True))
        parallel, _ = await run(cloud, session, document(count, chained=False))
    gap = median(gaps) * 1000
    print(f"{count} steps one after the other: {chained:.1f} s; overhead of a step {gap:.0f} ms (median)")
    print(f"{count} steps side by side: {parallel:.1f} s")
    print("state transitions: " + ", ".join(f"{name} {number}" for name, number in TRANSITIONS.items()))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
