"""The adapter for ComfyUI.

Its traps, and what is done about them:

- The history is the truth, and polled. The socket tells how far a run is, and that it is time to look; losing it
  changes nothing else. A prompt that is in neither the history nor the queue is lost: the server was restarted.
- A prompt may be repeated only after a look into both: the server takes the same one twice.
- Parts of a workflow that cannot run are dropped in silence, and the rest ends in success: that is a failure here.
- An interrupted run is an error that only its last message tells apart; so is one that somebody else interrupted.
- A run that is cached names files of an earlier one: each run saves under a folder of its own.
- The thread that works can die or hang while the server answers: progress stands still then, or prompts wait
  although none runs. Such a server is reported as hung; the prompt stays where it is, so that `ready` sees it too.
"""

import asyncio
import time
from dataclasses import dataclass, field
from uuid import uuid4

from darkroom.errors import TaskFailedError, TaskInterruptedError
from darkroom.models import JsonObject
from darkroom.tasks import TaskType
from darkroom_agent.faults import RuntimeBusyError, RuntimeHungError, RuntimeLostError, describe
from darkroom_agent.flags import Flag, first_of
from darkroom_agent.logs import EventLog
from darkroom_agent.runtimes import Job, Outputs, RuntimeConfig
from darkroom_agent.runtimes.comfyui_answers import Ending, ForgottenOutputsError, partial, read_ending, refusal
from darkroom_agent.runtimes.comfyui_graph import (
    FOLDER,
    INPUTS,
    build_graph,
    check_graph,
    encode_inputs,
    find_files,
)
from darkroom_agent.runtimes.comfyui_progress import Follower, NodeTimes, Progress
from darkroom_agent.runtimes.comfyui_server import ComfyServer, MissingFileError, Queue, SlowAnswerError

log = EventLog(__name__)

CLIENT = "darkroom-"
"""What the ids of our clients begin with: by it an earlier agent's prompts are known."""

POLL_HEARING = 1.0
POLL_DEAF = 0.25
"""Seconds between looks at the history, with the socket and without it."""

IDLE_LIMIT = 60.0
"""Seconds that a prompt may wait while none runs, until the server counts as hung."""

TRIES = 3
"""Looks that may fail one after the other until the server counts as lost; so often, too, a prompt is sent."""

_PAUSE = 0.3


@dataclass
class _Prompt:
    """The prompt in hand. Each run has a new one: ids are never used twice."""

    id: str = field(default_factory=lambda: str(uuid4()))
    client_id: str = field(default_factory=lambda: f"{CLIENT}{uuid4().hex}")
    sent: bool = False
    interrupted: Flag = field(default_factory=Flag)
    progress: Progress | None = None
    follower: Follower | None = None

    def check(self) -> None:
        if self.interrupted.is_set():
            raise TaskInterruptedError("interrupted", "the job was interrupted")


class ComfyUi:
    """A `Runtime`: one ComfyUI server."""

    inputs = INPUTS

    def __init__(self, config: RuntimeConfig) -> None:
        self._server = ComfyServer(config.url)
        self._times = NodeTimes()
        self._prompt: _Prompt | None = None

    async def ready(self) -> str | None:
        """See `Runtime.ready`. An open port is not enough: nodes must be imported, and earlier jobs over."""
        try:
            await self._server.look()
            queue = await self._server.queue()
            if queue.pending and not queue.running:
                raise RuntimeBusyError("runtime_busy", "a worker: prompts wait, and none runs")
            ours = [i for i, client in {**queue.running, **queue.pending}.items() if client.startswith(CLIENT)]
            for prompt_id in ours:  # of an agent before us, or one that was given up
                await self._server.stop(prompt_id)
        except RuntimeLostError:
            raise
        except TaskInterruptedError as error:
            return f"a good answer ({error})"
        if ours:
            raise RuntimeBusyError("runtime_busy", "the end of an earlier job")
        return None

    async def run(self, job: Job) -> Outputs:
        """See `Runtime.run`."""
        if job.type is not TaskType.PIPELINE:
            raise TaskFailedError("unsupported_task", f"ComfyUI does {TaskType.PIPELINE}; not {job.type}")
        check_graph(job.content)
        self._prompt = prompt = _Prompt()
        try:
            graph = await self._prepare(prompt, job)
            prompt.progress = Progress(prompt.id, graph, self._times)
            async with Follower(self._server, prompt.client_id, prompt.progress) as prompt.follower:
                await self._send(prompt, graph)
                entry = await self._await_end(prompt, prompt.progress, prompt.follower)
            ending = read_ending(entry, graph, prompt.progress.blocked)
        except ForgottenOutputsError:
            await self._server.forget_results()
            raise
        finally:
            self._prompt = None
        if ending.expanded:  # the same graph would run from the cache, which does not tell of what it put out
            await self._server.forget_results()
        await job.hand_over()
        return await self._collect(ending)

    async def progress(self) -> float | None:
        """See `Runtime.progress`. Without the socket nobody knows."""
        prompt = self._prompt
        if prompt is None or prompt.progress is None or prompt.follower is None or prompt.follower.deaf.is_set():
            return None
        return prompt.progress.share

    async def preview(self) -> bytes | None:
        """See `Previewing.preview`. There are some where the server was started with `--preview-method`."""
        prompt = self._prompt
        return prompt.follower.preview if prompt is not None and prompt.follower is not None else None

    async def interrupt(self) -> None:
        """See `Runtime.interrupt`. It takes effect before the next node, or at a step of the one that runs."""
        prompt = self._prompt
        if prompt is None:
            return
        prompt.interrupted.set()
        if prompt.sent:
            await self._server.stop(prompt.id)

    async def close(self) -> None:
        """See `Runtime.close`."""
        await self._server.close()

    async def _prepare(self, prompt: _Prompt, job: Job) -> JsonObject:
        """Bring the inputs to the server, and put their names into the graph."""
        folder = f"{FOLDER}/{prompt.id}"
        names = encode_inputs(job.content, job.files)
        for file in find_files(job.content, job.files):
            prompt.check()
            name = await self._server.upload(file.name, folder, file.data)
            names.update(dict.fromkeys(file.places, name))
        return build_graph(job.content, names, folder)

    async def _send(self, prompt: _Prompt, graph: JsonObject) -> None:
        prompt.check()
        prompt.sent = True
        for attempt in range(1, TRIES + 1):
            try:
                receipt = await self._server.post_prompt(prompt.id, prompt.client_id, graph)
                break
            except RuntimeLostError as error:
                if await self._knows(prompt):
                    return
                if attempt == TRIES:
                    raise
                log.warning("prompt_repeated", error=describe(error))
        if receipt.prompt_id is None:
            raise refusal(receipt, graph)
        prompt.id = receipt.prompt_id  # ours, unless the server is an old one
        if receipt.node_errors:
            await self._server.stop(prompt.id)
            raise partial(receipt, graph)

    async def _knows(self, prompt: _Prompt) -> bool:
        """Whether the server has heard of a prompt although its answer was lost."""
        return prompt.id in await self._server.queue() or await self._server.history(prompt.id) is not None

    async def _await_end(self, prompt: _Prompt, progress: Progress, follower: Follower) -> JsonObject:
        """The prompt's entry in the history, once there is one."""
        idle_since: float | None = None
        while True:
            entry, queue = await self._look(prompt)
            if entry is not None:
                return entry
            if prompt.id not in queue:
                prompt.check()
                raise TaskInterruptedError("prompt_lost", "the runtime knows nothing of the run any more")
            if prompt.interrupted.is_set():  # perhaps while it was being sent
                await self._server.stop(prompt.id)
            if queue.running:
                idle_since = None
            elif idle_since is None:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since > IDLE_LIMIT:
                raise RuntimeHungError("runtime_hung", "the runtime does not work on its queue")
            if progress.ended.is_set() or prompt.interrupted.is_set():
                await asyncio.sleep(POLL_DEAF)
            elif follower.deaf.is_set():
                await first_of(prompt.interrupted, timeout=POLL_DEAF)
            else:
                await first_of(progress.ended, prompt.interrupted, follower.deaf, timeout=POLL_HEARING)

    async def _look(self, prompt: _Prompt) -> tuple[JsonObject | None, Queue]:
        """The prompt's entry in the history, or else the queue. One look that fails is not the end of the run."""
        failures = 0
        while True:
            try:
                entry = await self._server.history(prompt.id)
                if entry is not None:
                    return entry, Queue({}, {})
                queue = await self._server.queue()
                if prompt.id not in queue:  # it may have ended in between
                    entry = await self._server.history(prompt.id)
            except SlowAnswerError as error:  # a node may hold Python's lock; whether it hangs, its progress tells
                log.warning("history_slow", error=describe(error))
            except TaskInterruptedError:
                failures += 1
                if failures == TRIES:
                    raise
                await asyncio.sleep(_PAUSE)
            else:
                return entry, queue

    async def _collect(self, ending: Ending) -> Outputs:
        files = []
        for file in ending.files:
            try:
                files.append(await self._server.download(file))
            except MissingFileError as error:
                # a node's cached result names it; run again, the node would name it again
                await self._server.forget_results()
                message = f"the runtime has the output {file.filename!r} no more"
                raise TaskInterruptedError("output_missing", message) from error
        return Outputs(tuple(files), ending.answer, ending.warnings)
