"""What the WebUI gets wrong without a word, found out before and after a run.

Before: an unknown sampler or scheduler (another is taken for it) and an unknown ControlNet model (the image is
made without control) fail the task. Samplers and schedulers in other letters, or by an alias, get the names that
the WebUI has for them: it knows no others. An unknown LoRA or VAE is a warning, since prompts are passed around
with the names of LoRAs in them.
After: an answer that mentions no ControlNet although a unit was asked for is a warning; nothing but black images,
from Forge, are a failure.
"""

import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from darkroom.errors import TaskFailedError
from darkroom.models import JsonObject
from darkroom_agent.encodings import decode
from darkroom_agent.faults import FailedForNowError
from darkroom_agent.pictures import is_black
from darkroom_agent.runtimes.bodies import Base64

Ask = Callable[[str], Awaitable[Any]]
"""Asks the WebUI for what stands at a path; None where it has no such path."""

_LORA = re.compile(r"<(?:lora|lyco):([^:>]+)")
_DYNAMIC = re.compile(r"[{}|$*?]|__")  # of extensions that choose among names
_HASH = re.compile(r" \[[0-9a-f]+\]$")
_NONE = frozenset({"", "none", "automatic"})
_SAME = "use same scheduler"
_LISTED = 20


class Registries:
    """The names that the WebUI knows. It is asked for those that were not seen before: the GPU waits meanwhile."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._seen: dict[str, set[str]] = {}
        self._own: dict[tuple[str, str], str] = {}

    def forget(self) -> None:
        """Ask anew: the runtime is another."""
        self._seen.clear()
        self._own.clear()

    async def check(self, request: JsonObject) -> list[str]:
        """Check the names in a request, and put those of samplers and schedulers right; returns warnings.

        Raises:
            TaskFailedError: a name is unknown, and the WebUI would take something else for it.
        """
        for field in ("sampler_name", "sampler_index", "hr_sampler_name"):
            await self._put_right(request, field, "sampler", self._find_sampler)
        for field in ("scheduler", "hr_scheduler"):
            await self._put_right(request, field, "scheduler", self._find_scheduler)
        await self._check_controlnet(request)
        loras = [await self._lack("loras", name, _lora_names) for name in _loras(request)]
        settings = request.get("override_settings")
        vae = str(settings.get("sd_vae") or "") if isinstance(settings, dict) else ""
        lacks_vae = vae.lower() not in _NONE and await self._lack("sd-vae", vae, _vae_names)
        missing = [f"the LoRA {name}" for name in loras if name]
        return [f"{what} is not there, and was ignored" for what in missing + [f"the VAE {vae}"] * bool(lacks_vae)]

    @staticmethod
    async def _put_right(
        request: JsonObject, field: str, kind: str, find: Callable[[str], Awaitable[str | None]]
    ) -> None:
        name = request.get(field)
        if isinstance(name, str) and name:
            if (own := await find(name)) is None:
                raise TaskFailedError("invalid_content", f"content.{field}: there is no {kind} {name!r}")
            request[field] = own

    async def _find_sampler(self, name: str) -> str | None:
        """The WebUI's name for a sampler. 1.9 and Forge still take a scheduler behind it: `DPM++ 2M Karras`."""
        own = await self._find("samplers", name, _sampler_names)
        if own is not None:
            return own
        for spelling, scheduler in _scheduler_names(await self._ask("schedulers")):
            if name.lower().endswith(f" {spelling.lower()}"):
                bare = await self._find("samplers", name[: -len(spelling) - 1], _sampler_names)
                return f"{bare} {scheduler}" if bare is not None else None
        return None

    async def _find_scheduler(self, name: str) -> str | None:
        return name if name.lower() == _SAME else await self._find("schedulers", name, _scheduler_names)

    async def _find(self, path: str, name: str, read: Callable[[Any], Iterator[tuple[str, str]]]) -> str | None:
        """The WebUI's own name for what goes by others too; None where it lists others and not this one."""
        if (path, name) not in self._own:
            answer = await self._ask(path)
            names = {spelling.lower(): own for spelling, own in read(answer)} if answer else {}
            if answer is not None and name.lower() not in names:
                return None
            self._own[path, name] = names.get(name.lower(), name)
        return self._own[path, name]

    async def _check_controlnet(self, request: JsonObject) -> None:
        for place, unit in controlnet_units(request):
            name = str(unit.get("model") or "")
            if name.lower() in _NONE or not await self._lack("/controlnet/model_list", name, _controlnet_names):
                continue
            known = await self._ask("/controlnet/model_list")
            listed = [_HASH.sub("", str(model)) for model in known["model_list"] if str(model).lower() not in _NONE]
            there = ", ".join(listed[:_LISTED]) or "none"
            message = f"{place}.model: there is no ControlNet model {name!r}; there is: {there}"
            raise TaskFailedError("controlnet_model_not_found", message)

    async def _lack(self, path: str, name: str, read: Callable[[Any], Iterator[str]]) -> str | None:
        """The name, where the WebUI lists others and not this one."""
        wanted = _HASH.sub("", name).lower()
        seen = self._seen.setdefault(path, set())
        if wanted in seen:
            return None
        answer = await self._ask(path)
        names = {_HASH.sub("", known).lower() for known in read(answer)} if answer else set()
        if answer is None or wanted in names or (path.startswith("/") and any(wanted in known for known in names)):
            seen.add(wanted)  # ControlNet takes a part of a name, too
            return None
        return name


def controlnet_units(request: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    """The ControlNet units that are to be used, with their places."""
    scripts = request.get("alwayson_scripts")
    for name, script in scripts.items() if isinstance(scripts, dict) else ():
        units = script.get("args") if isinstance(script, dict) and name.lower() == "controlnet" else None
        for index, unit in enumerate(units if isinstance(units, list) else []):
            if isinstance(unit, dict) and unit.get("enabled", True):
                yield f"content.alwayson_scripts.{name}.args[{index}]", unit


def missing_control(request: JsonObject, info: dict[str, Any]) -> list[str]:
    """A warning where a ControlNet unit was asked for, and the answer's texts do not mention one."""
    texts = [str(text) for text in info.get("infotexts") or ()]
    if not texts or any("ControlNet" in text for text in texts) or not any(controlnet_units(request)):
        return []
    return ["the answer mentions no ControlNet: the images may have been made without it"]


def check_black(images: tuple[bytes, ...], request: JsonObject) -> None:
    """Refuse what Forge answers for numbers that are none (NaN): nothing but black.

    Every pixel of every image must be black, and an image that it began with must not be: a picture of the night is
    never so black, and a black picture may be asked for by one.

    Raises:
        FailedForNowError: it is so; another seed or model may help.
    """
    if not images or not all(is_black(image) for image in images):
        return
    given = [_decode(image) for image in request.get("init_images") or ()]
    if not any(is_black(image) for image in given):
        raise FailedForNowError("nan_image", "the runtime made only black images (NaN)")


def _decode(image: object) -> bytes:
    if isinstance(image, Base64):
        return bytes(image.data)
    if not isinstance(image, str):
        return b""
    try:
        return decode(image)
    except ValueError:
        return b""


def _loras(request: JsonObject) -> list[str]:
    prompts = (request.get(field) for field in ("prompt", "hr_prompt"))
    names = [name for prompt in prompts if isinstance(prompt, str) for name in _LORA.findall(prompt)]
    return [name for name in dict.fromkeys(names) if not _DYNAMIC.search(name)]


def _objects(answer: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401  JSON is anything
    yield from (entry for entry in answer if isinstance(entry, dict)) if isinstance(answer, list) else ()


def _sampler_names(answer: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    for entry in _objects(answer):
        for spelling in (*(entry.get("aliases") or ()), entry.get("name")):
            yield str(spelling), str(entry.get("name"))


def _scheduler_names(answer: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    for entry in _objects(answer):
        for spelling in (*(entry.get("aliases") or ()), entry.get("name"), entry.get("label")):
            yield str(spelling), str(entry.get("label"))


def _lora_names(answer: Any) -> Iterator[str]:  # noqa: ANN401
    for entry in _objects(answer):
        yield from (str(entry.get("name")), str(entry.get("alias")))


def _vae_names(answer: Any) -> Iterator[str]:  # noqa: ANN401
    for entry in _objects(answer):
        yield str(entry.get("model_name"))


def _controlnet_names(answer: Any) -> Iterator[str]:  # noqa: ANN401
    yield from map(str, answer.get("model_list") or ()) if isinstance(answer, dict) else ()
