"""Which container images a deployment needs, and whether nodes will have them in a snapshot."""

import re
from collections.abc import Mapping
from typing import Any

from darkroom_cli.deploy.config import SAMPLED, Config, CustomRuntime, Runtime

SAMPLES = "public.ecr.aws/bingjiao/sd-on-eks"
"""The guide's sample images. They are for trials; their licenses are their users' to mind."""

OLD_AGENT = f"{SAMPLES}/queue-agent"
"""The guide's agent: it speaks to the guide's own control plane, and not to this one."""

AGENT_IMAGE = "runtime.queueAgent.image"

DATA_VOLUME_GIB = 80
"""The chart's own size of a node's data volume."""

AnyRuntime = Runtime | CustomRuntime


def look_up(values: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401  what stands there is anything
    """What stands at a dotted path; None where nothing does."""
    found: Any = values
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def snapshot_of(runtime: AnyRuntime) -> str:
    """The snapshot that the configuration names; empty for none."""
    return str(look_up(runtime.values, "karpenter.nodeTemplate.dataVolume.snapshotID") or "")


def wants_cache(runtime: AnyRuntime) -> bool:
    """Whether a snapshot has to be made: none is named, and the runtime has nodes of its own."""
    return not snapshot_of(runtime) and look_up(runtime.values, "karpenter.enabled") is not False


def wants_agent(runtime: AnyRuntime) -> bool:
    """Whether the agent's image has to be built: the configuration names none."""
    return not look_up(runtime.values, f"{AGENT_IMAGE}.repository")


def images_of(runtime: AnyRuntime, agent: str) -> list[str]:
    """The images of a runtime's containers, as far as they are known here: a chart of one's own may name others.

    `agent` is the one that is built.
    """
    named = look_up(runtime.values, "runtime.inferenceApi.image")
    images = [agent if wants_agent(runtime) else _image(look_up(runtime.values, AGENT_IMAGE), "")]
    if look_up(named or {}, "repository") or runtime.type in SAMPLED:
        images.insert(0, _image(named, f"{SAMPLES}/{runtime.type}"))
    return images


def cached_images(config: Config, agent: str) -> list[str]:
    """The images that a snapshot has to hold, each once. `agent` is the one that is built."""
    wanted = [
        image for runtime in config.models_runtime if wants_cache(runtime) for image in images_of(runtime, agent)
    ]
    return list(dict.fromkeys(wanted))


def cache_size(config: Config) -> int:
    """The snapshot's size in GiB: that of the smallest volume made of it, for none can be smaller than it."""
    sizes = [
        look_up(runtime.values, "karpenter.nodeTemplate.dataVolume.volumeSize")
        for runtime in config.models_runtime
        if wants_cache(runtime)
    ]
    return min((_gib(size) if size else DATA_VOLUME_GIB for size in sizes), default=DATA_VOLUME_GIB)


def _image(image: Mapping[str, Any] | None, repository: str) -> str:
    named = image or {}
    tag = named.get("tag") or "latest"
    return f"{named.get('repository') or repository}{'@' if tag.startswith('sha256:') else ':'}{tag}"


def _gib(size: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(\w+)", size).groups()  # type: ignore[union-attr]  # config.py checked it
    return int(int(number) * {"Gi": 1, "G": 10**9 / 2**30, "Ti": 1024, "T": 10**12 / 2**30}[unit])
