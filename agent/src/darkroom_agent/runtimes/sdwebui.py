"""The adapter for SD WebUI's API (AUTOMATIC1111 and Forge).

Its traps, and what is done about them:

- An unknown model is not refused, the loaded one is used: names are looked up in `sd-models` first, and the
  answer's `sd_model_name` is compared.
- A model is switched by the options, and only where another one is loaded: overrides would load it each time.
- An interrupted job answers 200 with what it has: we remember that we interrupted.
- Closing the connection does not stop a job: who gives one up interrupts it, and `ready` waits for its end. Nothing
  stops the loading of a model: a job that is interrupted then ends at once, and the next one waits behind it.
- A job may wait for one that will never end, and the WebUI calls itself idle: its progress stands still then.
- An upscale that fails leaves its state behind, and the WebUI calls itself busy until the next job: what waits for
  the lock that all jobs share, and gets its turn, shows that it is not.
- Unknown samplers, ControlNet models, LoRAs, and black images: `sdwebui_checks` has what is done about them.
- Compressed answers cost time on the GPU's side for nothing: none are asked for.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import aiohttp
from pydantic_core import from_json

from darkroom.errors import ExecutionError, TaskFailedError, TaskInterruptedError
from darkroom.models import JsonObject
from darkroom.tasks import TaskType
from darkroom_agent.encodings import decode
from darkroom_agent.faults import GivenUpError, RuntimeBusyError, RuntimeHungError, RuntimeLostError, describe
from darkroom_agent.flags import Flag, cancel, unless
from darkroom_agent.links import replace as put_in
from darkroom_agent.logs import EventLog
from darkroom_agent.runtimes import InputRules, Job, Outputs, RuntimeConfig
from darkroom_agent.runtimes.answers import CONNECTION
from darkroom_agent.runtimes.bodies import Base64, JsonBody
from darkroom_agent.runtimes.sdwebui_answers import read_fault, read_outputs
from darkroom_agent.runtimes.sdwebui_checks import Registries, check_black, missing_control
from darkroom_agent.runtimes.sdwebui_content import build_request
from darkroom_agent.runtimes.sdwebui_models import Checkpoint, find, missing

log = EventLog(__name__)

_PATHS = {
    TaskType.TEXT_TO_IMAGE: "txt2img",
    TaskType.IMAGE_TO_IMAGE: "img2img",
    TaskType.EXTRA_SINGLE_IMAGE: "extra-single-image",
    TaskType.EXTRA_BATCH_IMAGES: "extra-batch-images",
    TaskType.INTERROGATE: "interrogate",
}
_GENERATE = frozenset({TaskType.TEXT_TO_IMAGE, TaskType.IMAGE_TO_IMAGE})
_OK = 200
_QUICK = 10.0
"""Seconds for what the WebUI answers beside its work."""

_PROBE = 2.0
"""Seconds that `ready` waits for what is answered once the WebUI can work."""

_SMALLEST_JOB = {
    "image": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==",
    "upscaling_resize": 1,
    "upscaler_1": "None",
}

_SLOW = 60.0
"""Seconds for what reads the models' folder, which may lie in S3, and for the body of a job's answer."""


class SdWebUi:
    """A `Runtime`: one WebUI."""

    inputs = InputRules(encoded=False)  # files become base64 as they are sent: of a large one there is no copy

    def __init__(self, config: RuntimeConfig) -> None:
        self._config = config
        self._root = config.url.rstrip("/")
        self._registries = Registries(self._ask)
        self._is_forge = False
        self._session: aiohttp.ClientSession | None = None
        self._interrupted = Flag()
        self._share: float | None = None  # how far our job is; None where none was sent
        self._probes: dict[str, asyncio.Task[dict[str, Any]]] = {}
        self._names: dict[str, Checkpoint] = {}
        self._loaded: Checkpoint | None = None  # as far as we know

    async def ready(self) -> str | None:
        """See `Runtime.ready`. An open port is not enough: there must be models, one loaded, and no job."""
        self._forget()
        try:
            if not await self._list_models():
                return "a model; it lists none"
            await self._call("GET", "options", seconds=_QUICK)
            if await self._ask_progress() is not None:
                await self.interrupt()  # of an agent before us, or one that was given up
                if not await self._is_free():
                    raise RuntimeBusyError("runtime_busy", "the end of an earlier job")
            self._is_forge = await self._ask("sd-modules") is not None  # AUTOMATIC1111 has no such path
            if not self._is_forge and not await self._has_loaded():
                return "its model, which is being loaded"
        except RuntimeLostError:
            raise
        except ExecutionError as error:
            return f"a good answer ({error})"
        return None

    async def run(self, job: Job) -> Outputs:
        """See `Runtime.run`."""
        if job.type not in _PATHS:
            known = ", ".join(_PATHS)
            raise TaskFailedError("unsupported_task", f"SD WebUI does {known}; not {job.type}")
        self._interrupted.clear()
        content = put_in(job.content, {place: Base64(data) for place, data in job.files.items()})
        request = build_request(job.type, content)
        generates = job.type in _GENERATE
        checkpoint = await self._select(job.model) if generates else None
        warnings = await self._registries.check(request) if generates else []
        self._check_interrupted()
        expected = checkpoint or self._loaded
        answer = await self._send(job, request)
        generated = read_outputs(
            job.type,
            answer,
            scripted=bool(job.content.get("script_name")),
            inputs=len(request.get("imageList") or ()),
        )
        self._check_model(expected, generated.model, needed=checkpoint is not None)
        if generates and self._is_forge:
            await asyncio.to_thread(check_black, generated.outputs.images, request)
        warnings += missing_control(request, generated.info) if generates else []
        return replace(generated.outputs, warnings=tuple(warnings))

    async def progress(self) -> float | None:
        """See `Runtime.progress`.

        Our own job stands still while the WebUI calls itself idle, or done: so it calls an upscale from its start.
        """
        told = await self._ask_progress()
        if self._share is None:
            return told
        if told is not None and told < 1:
            self._share = told
        return self._share

    async def preview(self) -> bytes | None:
        """See `Previewing.preview`."""
        answer = await self._call("GET", "progress", seconds=_QUICK)
        image = answer.get("current_image")
        try:
            return decode(image) if isinstance(image, str) else None
        except ValueError:
            return None

    async def interrupt(self) -> None:
        """See `Runtime.interrupt`."""
        self._interrupted.set()
        await self._call("POST", "interrupt", seconds=_QUICK)

    async def close(self) -> None:
        """See `Runtime.close`."""
        await cancel(*self._probes.values())
        if self._session is not None:
            await self._session.close()

    def _check_interrupted(self) -> None:
        if self._interrupted.is_set():
            raise TaskInterruptedError("interrupted", "the job was interrupted")

    async def _send(self, job: Job, request: JsonObject) -> dict[str, Any]:
        """Have a job done; while it is, an idle WebUI makes no progress with it."""
        over = False

        async def answered() -> None:
            """The WebUI begins to answer when it is done with the job."""
            nonlocal over
            self._check_interrupted()  # it answers 200 all the same, with partial images
            over, self._share = True, None
            await job.hand_over()

        self._share = 0.0
        try:
            answer = await self._request("POST", _PATHS[job.type], request, answered=answered)
        finally:
            if not over:  # else it is the next job's
                self._share = None
        return answer if isinstance(answer, dict) else {}

    async def _is_free(self) -> bool:
        """Whether a job gets its turn."""
        answered = await self._probe(_PATHS[TaskType.EXTRA_SINGLE_IMAGE], _SMALLEST_JOB)
        return answered and await self._ask_progress() is None

    async def _has_loaded(self) -> bool:
        """Whether the model is there that AUTOMATIC1111 comes up with: only what wants it has to wait."""
        try:
            return await self._probe("reload-checkpoint", None)
        except RuntimeLostError:
            raise
        except ExecutionError:  # it has none, or another WebUI no such path
            return True

    async def _probe(self, path: str, body: object) -> bool:
        """Whether a request is answered soon. One is sent at a time: they would use up the WebUI's threads."""
        if path not in self._probes:
            self._probes[path] = asyncio.create_task(self._call("POST", path, body), name=f"wait for {path}")
        probe = self._probes[path]
        await asyncio.wait({probe}, timeout=_PROBE)
        if not probe.done():
            return False
        del self._probes[path]
        probe.result()
        return True

    async def _ask_progress(self) -> float | None:
        """How far the WebUI is with whatever it does; None where it is idle."""
        answer = await self._call("GET", "progress?skip_current_image=true", seconds=_QUICK)
        state = answer.get("state") or {}
        if state.get("job_count") == 0 and not answer.get("progress"):
            return None
        return min(max(float(answer.get("progress") or 0), 0.0), 1.0)

    async def _select(self, asked: str | None) -> Checkpoint | None:
        """Have the model loaded that the task needs, and return it; None where any will do."""
        wanted = asked or self._config.model
        if wanted is None:
            return None
        known = self._names.get(wanted)
        if known is not None and self._loaded is not None and known.filename == self._loaded.filename:
            return known
        checkpoint = await self._look_up(wanted)
        loaded = await self._current()
        self._check_allowed(checkpoint, wanted, loaded)
        if not _is_same(loaded, checkpoint):
            await self._load(checkpoint)
        self._loaded = self._names[wanted] = checkpoint
        return checkpoint

    async def _current(self) -> Checkpoint | None:
        """The checkpoint that the options name."""
        current = str((await self._call("GET", "options", seconds=_QUICK)).get("sd_model_checkpoint") or "")
        return find(await self._list_models(), current)

    async def _look_up(self, name: str) -> Checkpoint:
        checkpoint = find(await self._list_models(), name)
        if checkpoint is None:
            await self._call("POST", "refresh-checkpoints", {}, seconds=_SLOW)  # it may have been added since
            checkpoints = await self._list_models()
            checkpoint = find(checkpoints, name)
            if checkpoint is None:
                raise missing(name, checkpoints)
        return checkpoint

    def _check_allowed(self, checkpoint: Checkpoint, asked: str, loaded: Checkpoint | None) -> None:
        """A static runtime serves one model: the configured one, or the one that it came up with."""
        if self._config.dynamic_model:
            return
        own = self._config.model
        is_own = find([checkpoint], own) is not None if own is not None else _is_same(loaded, checkpoint)
        if not is_own:
            only = own or (loaded.title if loaded else "none")
            message = f"the model {asked!r} is not served here: this runtime serves {only!r} only"
            raise TaskFailedError("model_not_found", message)

    async def _load(self, checkpoint: Checkpoint) -> None:
        log.info("model_switched", model=checkpoint.title)
        self._loaded = None
        try:
            options = {"sd_model_checkpoint": checkpoint.title}
            load = self._call("POST", "options", options, seconds=self._config.load_timeout)
            await unless(load, self._interrupted, name=f"load {checkpoint.title}")
        except GivenUpError as error:  # nothing stops it; who comes next waits behind it
            raise TaskInterruptedError("interrupted", "the job was interrupted") from error
        except RuntimeLostError as error:
            if type(error.__cause__) is not TimeoutError:  # aiohttp's own tell of connections
                raise
            message = f"the model {checkpoint.title} did not load within {self._config.load_timeout:g} s"
            raise RuntimeHungError("runtime_hung", message) from error
        except TaskFailedError as error:
            raise TaskFailedError("model_load_failed", f"{checkpoint.title}: {error}") from error
        current = await self._current()
        if current is not None and not _is_same(current, checkpoint):  # AUTOMATIC1111 answered 200 all the same
            raise TaskFailedError("model_load_failed", f"{checkpoint.title}: the runtime could not load it")

    def _check_model(self, expected: Checkpoint | None, used: str | None, *, needed: bool) -> None:
        if expected is None or used is None or used in {expected.stem, expected.model_name}:
            return
        self._forget()
        if needed:
            message = f"the task needs the model {expected.stem!r}, the runtime used {used!r}"
            raise TaskInterruptedError("wrong_model", message)

    def _forget(self) -> None:
        """What was known of the models holds no more."""
        self._registries.forget()
        self._names.clear()
        self._loaded = None

    async def _list_models(self) -> list[Checkpoint]:
        answer = await self._request("GET", "sd-models", seconds=_SLOW)
        entries = answer if isinstance(answer, list) else []
        return [Checkpoint.read(entry) for entry in entries if isinstance(entry, dict)]

    async def _ask(self, path: str) -> Any:  # noqa: ANN401  JSON is anything
        """What stands at a path; None where the runtime has no such path, or does not say."""
        try:
            return await self._request("GET", path, seconds=_SLOW)
        except RuntimeLostError:
            raise
        except ExecutionError:
            return None

    async def _call(
        self, method: str, path: str, body: object = None, *, seconds: float | None = None
    ) -> dict[str, Any]:
        answer = await self._request(method, path, body, seconds=seconds)
        return answer if isinstance(answer, dict) else {}

    async def _request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        seconds: float | None = None,
        answered: Callable[[], Awaitable[None]] | None = None,
    ) -> Any:  # noqa: ANN401  JSON is anything
        """Ask the WebUI; `answered` is awaited when a good answer begins, which is then read within `_SLOW`."""
        url = self._root + (path if path.startswith("/") else f"/sdapi/v1/{path}")
        data = None if body is None else JsonBody(body)
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json", **CONNECTION.get(method, {})}
        try:
            async with (
                asyncio.timeout(seconds),
                self._connections().request(method, url, data=data, headers=headers) as response,
            ):
                if answered is not None and response.status == _OK:
                    await answered()
                    text = await asyncio.wait_for(response.read(), _SLOW)
                else:
                    text = await response.read()
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            self._forget()
            raise RuntimeLostError("runtime_lost", describe(error)) from error
        if response.status != _OK:
            raise read_fault(response.status, text)
        try:
            return from_json(text)
        except ValueError as error:
            raise TaskInterruptedError(
                "bad_answer", "the runtime answered with something other than JSON"
            ) from error

    def _connections(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=_QUICK)
            self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False)
        return self._session


def _is_same(one: Checkpoint | None, other: Checkpoint) -> bool:
    """Whether it is the same file: its title changes when it is first loaded."""
    return one is not None and one.filename == other.filename
