"""The guide's deployment check: its test requests, sent to a deployed API, and what comes of each."""

import base64
import json
import secrets
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from darkroom.models import JsonObject
from darkroom_cli.access import Access
from darkroom_cli.client import Client
from darkroom_cli.deploy.config import DEFAULT_MODEL
from darkroom_cli.errors import ApiError, UnreachableError, UsageError, WaitTimeoutError
from darkroom_cli.runtimes import Runtime
from darkroom_cli.tasks import Task

DEFAULT_RUNTIME = "sdruntime"
"""The guide's."""

_SIDE = 256
_PROMPT = "cat wizard, gandalf, lord of the rings, detailed, fantasy, cute, adorable, Pixar, Disney, 8k"


@dataclass(frozen=True)
class Probe:
    """One test request: its title, the task's type and what the runtime is to get."""

    title: str
    short: str
    type: str
    content: JsonObject

    def request(self, runtime: str, run: str) -> JsonObject:
        """The body of a request to `/v1alpha2`. `run` keeps one check's tasks apart from another's."""
        id_ = f"test-{self.short}-{run}"
        metadata = {"id": id_, "runtime": runtime, "tasktype": self.type, "prefix": "output", "context": {}}
        return {"task": {"metadata": metadata, "content": self.content}}


@dataclass(frozen=True)
class Outcome:
    """What came of a probe."""

    probe: Probe
    ok: bool
    detail: str
    images: tuple[str, ...] = ()
    seconds: float = 0


def choose_runtime(client: Client, name: str | None) -> Runtime:
    """The runtime of a name; without one the default runtime, or the only one.

    Raises:
        NotFoundError: there is none of that name.
        UsageError: there are several, or none.
    """
    if name is not None:
        return client.runtime(name)
    found = {runtime.name: runtime for runtime in client.runtimes()}
    if DEFAULT_RUNTIME in found or len(found) == 1:
        return found.get(DEFAULT_RUNTIME) or next(iter(found.values()))
    raise UsageError(
        f"Say which runtime to ask, with --runtime-name; there is: {', '.join(sorted(found)) or 'none'}."
    )


def own_probe(path: Path) -> Probe:
    """A test request of one's own.

    Raises:
        UsageError: the file holds none.
    """
    try:
        task = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is no JSON: {error}") from error
    match task:
        case {"type": str(type_), "content": dict(content), **rest} if not rest:
            return Probe(type_, "own", type_, content)
    raise UsageError(f'{path} must hold {{"type": "…", "content": {{…}}}} and nothing else.')


def probes(runtime_type: str, runtime: Runtime, image: str | None = None) -> tuple[Probe, ...]:
    """The test requests of a type of runtime, as far as the runtime takes their types.

    Args:
        runtime_type: `sdwebui` gets text to image, image to image and upscaling; `comfyui` a pipeline.
        runtime: the one to be asked. A pipeline loads its model.
        image: a link to the picture to work on; without one, a small one travels along.

    Raises:
        UsageError: there are none for it.
    """
    known = {"comfyui": _comfyui, "sdwebui": _sdwebui}.get(runtime_type)
    wanted = known(runtime, image) if known else ()
    taken = tuple(probe for probe in wanted if probe.type in runtime.task_types)
    if not taken:
        takes = ", ".join(runtime.task_types)
        raise UsageError(
            f"There are no test requests for {runtime.name} ({runtime_type}), which takes {takes}.",
            hint="Send one of your own: --task FILE.",
        )
    return taken


def _comfyui(runtime: Runtime, _: str | None) -> tuple[Probe, ...]:
    return (Probe("pipeline", "pipeline", "pipeline", _workflow(runtime.model or DEFAULT_MODEL)),)


def _sdwebui(_: Runtime, image: str | None) -> tuple[Probe, ...]:
    picture = image or "data:image/png;base64," + base64.b64encode(_png(_SIDE)).decode()
    text: JsonObject = {"alwayson_scripts": {}, "prompt": "A dog", "steps": 16, "width": 512, "height": 512}
    extra: JsonObject = {
        "resize_mode": 0, "show_extras_results": False, "gfpgan_visibility": 0, "codeformer_visibility": 0,
        "codeformer_weight": 0, "upscaling_resize": 4, "upscaling_resize_w": 512, "upscaling_resize_h": 512,
        "upscaling_crop": False, "upscaler_1": "Lanczos", "upscaler_2": "None", "extras_upscaler_2_visibility": 0,
        "upscale_first": False, "image": picture,
    }  # fmt: skip
    return (
        Probe("text to image", "t2i", "text-to-image", text),
        Probe("image to image", "i2i", "image-to-image", text | {"prompt": _PROMPT, "init_images": [picture]}),
        Probe("upscaling", "extra", "extra-single-image", extra),
    )


class Verification:
    """Sends probes to an API and waits for their images."""

    def __init__(self, access: Access, runtime: str, timeout: float) -> None:
        self._access = access
        self._runtime = runtime
        self._timeout = timeout
        self._run = secrets.token_hex(2)

    def run(self, wanted: tuple[Probe, ...]) -> Iterator[Outcome]:
        """Send all at once, as the guide's script does, then see to each."""
        sent = [(probe, self._send(probe)) for probe in wanted]
        with Client(self._access.url, self._access.api_key) as client:
            for probe, refusal in sent:
                yield refusal or self._await(client, probe)

    def _send(self, probe: Probe) -> Outcome | None:
        """Send a probe; what is wrong with the answer, where something is."""
        body = probe.request(self._runtime, self._run)
        try:
            answer = httpx.post(
                f"{self._access.url}/v1alpha2", json=body, headers={"x-api-key": self._access.api_key}, timeout=60
            )
        except httpx.HTTPError as error:
            raise UnreachableError(f"{self._access.url} cannot be reached: {error}") from error
        return (
            None
            if answer.is_success
            else Outcome(probe, ok=False, detail=f"{answer.status_code}: {_words(answer)}")
        )

    def _await(self, client: Client, probe: Probe) -> Outcome:
        id_ = f"test-{probe.short}-{self._run}"
        try:
            task = client.wait(id_, self._timeout)
        except WaitTimeoutError:
            detail = f"not done after {self._timeout:g} s; it goes on: darkroom tasks show {id_}"
            return Outcome(probe, ok=False, detail=detail)
        if not task.succeeded:
            why = f"{task.error.type}: {task.error.message}" if task.error else task.status
            return Outcome(probe, ok=False, detail=str(why))
        images = tuple(image.uri for image in task.images)
        return Outcome(
            probe, bool(images) and self._stored(images), task.output_location or "", images, _took(task)
        )

    def _stored(self, images: tuple[str, ...]) -> bool:
        """Whether the bucket has the images, where AWS can be asked."""
        if self._access.aws is None:
            return True
        s3 = self._access.aws.client("s3")
        places = [image.removeprefix("s3://").partition("/") for image in images]
        return all(s3.head_object(Bucket=bucket, Key=key)["ContentLength"] > 0 for bucket, _, key in places)


def _took(task: Task) -> float:
    if task.created_at is None or task.finished_at is None:
        return 0
    return (task.finished_at - task.created_at).total_seconds()


def _words(answer: httpx.Response) -> str:
    try:
        body: Any = answer.json()
    except ValueError:
        return answer.text[:200]
    return " ".join(str(ApiError(answer.status_code, body)).split()) if isinstance(body, dict) else str(body)


def _png(side: int) -> bytes:
    """A square picture: a slope of colours."""
    rows = b"".join(
        b"\0" + bytes(value for x in range(side) for value in (x * 255 // side, y * 255 // side, 128))
        for y in range(side)
    )
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _workflow(model: str) -> JsonObject:
    """Text to image as a graph, in ComfyUI's API format."""
    nodes: dict[str, tuple[str, JsonObject]] = {
        "3": (
            "KSampler",
            {
                "seed": 7, "steps": 16, "cfg": 8, "sampler_name": "euler", "scheduler": "normal", "denoise": 1,
                "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0],
            },
        ),
        "4": ("CheckpointLoaderSimple", {"ckpt_name": model}),
        "5": ("EmptyLatentImage", {"width": 512, "height": 512, "batch_size": 1}),
        "6": ("CLIPTextEncode", {"text": "A dog", "clip": ["4", 1]}),
        "7": ("CLIPTextEncode", {"text": "text, watermark", "clip": ["4", 1]}),
        "8": ("VAEDecode", {"samples": ["3", 0], "vae": ["4", 2]}),
        "9": ("SaveImage", {"filename_prefix": "darkroom", "images": ["8", 0]}),
    }  # fmt: skip
    return {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in nodes.items()}
