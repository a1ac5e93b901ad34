"""The queue of prompts, the one that runs, and the history of those that did."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from darkroom_local.preview.comfyui.executor import Executor, Run
from darkroom_local.preview.comfyui.sockets import Sockets


@dataclass(frozen=True)
class Item:
    """A prompt in the queue; lower numbers come first."""

    number: float
    prompt_id: str
    graph: dict[str, Any]
    extra_data: dict[str, Any]
    outputs: list[str]

    def describe(self) -> list[Any]:
        """As in the queue and in the history."""
        return [self.number, self.prompt_id, self.graph, self.extra_data, self.outputs]


@dataclass
class Prompts:
    """Works through the queue. All is in memory, and gone with the server."""

    executor: Executor
    sockets: Sockets
    pending: list[Item] = field(default_factory=list)
    running: Item | None = None
    history: dict[str, Any] = field(default_factory=dict)
    forgetting: bool = False
    _run: Run | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _numbers: int = 0

    def next_number(self) -> int:
        """The next place in the queue."""
        self._numbers += 1
        return self._numbers - 1

    def put(self, item: Item) -> None:
        """Put a prompt into the queue."""
        self.pending.append(item)
        self.tell_status()
        self._changed.set()

    def delete(self, prompt_id: str) -> None:
        """Forget a prompt that waits."""
        kept = [item for item in self.pending if item.prompt_id != prompt_id]
        if len(kept) < len(self.pending):
            self.pending[:] = kept
            self.tell_status()

    def interrupt(self, prompt_id: str | None) -> None:
        """Stop the prompt that runs, if it is this one; without an id, whichever it is."""
        if self.running is not None and self._run is not None and prompt_id in {None, self.running.prompt_id}:
            self._run.stop = True

    def forget_results(self) -> None:
        """Have what nodes made forgotten, as soon as none works."""
        self.forgetting = True
        self._changed.set()

    def status(self) -> Mapping[str, Any]:
        """How much is left to do."""
        return {"exec_info": {"queue_remaining": len(self.pending) + (self.running is not None)}}

    def tell_status(self) -> None:
        """Tell everybody how much is left to do."""
        self.sockets.send("status", {"status": self.status()}, None)

    async def work(self) -> None:
        """Work through the queue, for ever."""
        while True:
            if self.forgetting:
                self.executor.forget()
                self.forgetting = False
            if not self.pending:
                self._changed.clear()
                await self._changed.wait()
                continue
            item = min(self.pending, key=lambda waiting: waiting.number)
            self.pending.remove(item)
            await self._work_on(item)

    async def _work_on(self, item: Item) -> None:
        client_id = item.extra_data.get("client_id")

        def send(kind: str, data: Mapping[str, Any]) -> None:
            if client_id is not None:
                self.sockets.send(kind, data, client_id)

        self.running = item
        self._run = run = Run(item.prompt_id, item.graph, item.outputs, send)
        self.tell_status()
        await self.executor.execute(run)
        meta = {
            node: {"node_id": node, "display_node": node, "parent_node": None, "real_node_id": node}
            for node in run.shown
        }
        status = {
            "status_str": "error" if run.failed else "success",
            "completed": not run.failed,
            "messages": run.messages,
        }
        self.history[item.prompt_id] = {
            "prompt": item.describe(),
            "outputs": run.shown,
            "status": status,
            "meta": meta,
        }
        self.running = self._run = None
        self.tell_status()
        send("executing", {"node": None, "prompt_id": item.prompt_id})
