"""The samplers and scripts of AUTOMATIC1111 1.8 without extensions.

Before 1.9 a sampler's name holds its schedule, too.
"""

from typing import Any

from darkroom_local.preview.errors import RefusedError

SAMPLERS = (
    "DPM++ 2M Karras", "DPM++ SDE Karras", "DPM++ 2M SDE Exponential", "DPM++ 2M SDE Karras", "Euler a", "Euler",
    "LMS", "Heun", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun",
    "DPM++ 2M SDE Heun Karras", "DPM++ 2M SDE Heun Exponential", "DPM++ 3M SDE", "DPM++ 3M SDE Karras",
    "DPM++ 3M SDE Exponential", "DPM fast", "DPM adaptive", "LMS Karras", "DPM2 Karras", "DPM2 a Karras",
    "DPM++ 2S a Karras", "Restart", "DDIM", "PLMS", "UniPC", "LCM",
)  # fmt: skip

ALWAYS_ON_SCRIPTS = {
    "txt2img": {"extra options", "hypertile", "refiner", "seed"},
    "img2img": {"extra options", "hypertile", "refiner", "seed", "soft inpainting"},
}


def describe_samplers() -> list[dict[str, Any]]:
    """The answer of `/sdapi/v1/samplers`."""
    return [{"name": name, "aliases": [f"k_{name.lower().replace(' ', '_')}"], "options": {}} for name in SAMPLERS]


def check_sampler(name: str) -> None:
    """Accept a sampler by its exact name.

    Raises:
        RefusedError: 404, as AUTOMATIC1111 until 1.8.
    """
    if name not in SAMPLERS:
        raise RefusedError(404, "Sampler not found")


def check_scripts(tab: str, selected: str | None, always_on: dict[str, Any]) -> None:
    """Accept the scripts that come with the WebUI (they change nothing here), in any case.

    Raises:
        RefusedError: 422. An extension (ControlNet, say) is as unknown here as on a server without it.
    """
    if selected:
        raise RefusedError(422, f"Script '{selected}' not found")
    for name in always_on:
        if name.lower() not in ALWAYS_ON_SCRIPTS[tab]:
            raise RefusedError(422, f"Script '{name}' not found")
