"""The nodes that would need a diffusion model: they draw the labelled preview picture instead."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from darkroom_local.preview.comfyui.classes import Input, Job, NodeClass, Result, number, one_of
from darkroom_local.preview.pictures import Subject, draw_picture
from darkroom_local.preview.runtime import Pace

LARGEST = 16384
SAMPLERS = (
    "euler",
    "euler_ancestral",
    "heun",
    "dpm_2",
    "dpmpp_2m",
    "dpmpp_2m_sde",
    "dpmpp_sde",
    "lcm",
    "ddim",
    "uni_pc",
)
SCHEDULERS = ("simple", "sgm_uniform", "karras", "exponential", "ddim_uniform", "beta", "normal")
NEUTRAL = (128, 120, 110)
"""What an empty latent looks like when it is decoded."""

_CELL = 8  # pixels of a picture's side for each of a latent's


@dataclass(frozen=True)
class Latent:
    """A batch of pictures to be: their size in pixels, and what each will show once it was sampled."""

    width: int
    height: int
    count: int
    subjects: tuple[Subject, ...] = ()


def make_sampling_nodes(models: Sequence[str], pace: Pace) -> list[NodeClass]:
    """The classes from a checkpoint to a decoded picture."""
    sampling = {
        "model": Input("MODEL"),
        "seed": number("INT", 0, 0, 2**64 - 1, control_after_generate=True),
        "steps": number("INT", 20, 1, 10000),
        "cfg": number("FLOAT", 8.0, 0.0, 100.0, step=0.1, round=0.01),
        "sampler_name": one_of(*SAMPLERS),
        "scheduler": one_of(*SCHEDULERS),
        "positive": Input("CONDITIONING"),
        "negative": Input("CONDITIONING"),
        "latent_image": Input("LATENT"),
        "denoise": number("FLOAT", 1.0, 0.0, 1.0, step=0.01),
    }
    text = {"text": Input("STRING", {"multiline": True, "dynamicPrompts": True}), "clip": Input("CLIP")}
    side = number("INT", 512, 16, LARGEST, step=_CELL)
    size = {"width": side, "height": side, "batch_size": number("INT", 1, 1, 4096)}
    decoding = {"samples": Input("LATENT"), "vae": Input("VAE")}
    return [
        _load(models, pace),
        NodeClass("CLIPTextEncode", "CLIP Text Encode (Prompt)", "conditioning", text, ("CONDITIONING",), _encode),
        NodeClass("EmptyLatentImage", "Empty Latent Image", "latent", size, ("LATENT",), _make_empty),
        _sampler(sampling, pace),
        NodeClass("VAEDecode", "VAE Decode", "latent", decoding, ("IMAGE",), _decode),
    ]


def _load(models: Sequence[str], pace: Pace) -> NodeClass:
    async def run(_: Job, inputs: dict[str, Any]) -> Result:
        await asyncio.sleep(pace.load)
        return Result((inputs["ckpt_name"],) * 3)

    given = {"ckpt_name": Input(choices=lambda: models)}
    return NodeClass("CheckpointLoaderSimple", "Load Checkpoint", "loaders", given, ("MODEL", "CLIP", "VAE"), run)


async def _encode(_: Job, inputs: dict[str, Any]) -> Result:
    return Result((inputs["text"],))


async def _make_empty(_: Job, inputs: dict[str, Any]) -> Result:
    width, height = (inputs[side] // _CELL * _CELL for side in ("width", "height"))
    return Result((Latent(width, height, inputs["batch_size"]),))


def _sampler(given: dict[str, Input], pace: Pace) -> NodeClass:
    async def run(job: Job, inputs: dict[str, Any]) -> Result:
        for step in range(inputs["steps"]):
            await asyncio.sleep(pace.step)
            job.tick(step + 1, inputs["steps"])
        latent: Latent = inputs["latent_image"]
        return Result((replace(latent, subjects=tuple(_subject(inputs, latent, n) for n in range(latent.count))),))

    return NodeClass("KSampler", "KSampler", "sampling", given, ("LATENT",), run)


def _subject(inputs: dict[str, Any], latent: Latent, index: int) -> Subject:
    settings = [inputs[name] for name in ("steps", "cfg", "sampler_name", "scheduler", "denoise")]
    return Subject(
        prompt=inputs["positive"],
        negative_prompt=inputs["negative"],
        seed=inputs["seed"] + index,
        width=latent.width,
        height=latent.height,
        model=inputs["model"].rpartition(".")[0] or inputs["model"],
        settings=str(settings),
    )


async def _decode(_: Job, inputs: dict[str, Any]) -> Result:
    latent: Latent = inputs["samples"]
    if not latent.subjects:
        return Result(([Image.new("RGB", (latent.width, latent.height), NEUTRAL)] * latent.count,))
    return Result(([await asyncio.to_thread(draw_picture, subject) for subject in latent.subjects],))
