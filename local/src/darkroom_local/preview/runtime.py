"""The preview runtime's parts, and its one "GPU": the checkpoint that is loaded."""

import asyncio
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from darkroom_local.preview.jobs import JobQueue
from darkroom_local.preview.models import DEFAULT_MODELS, Checkpoint, Checkpoints
from darkroom_local.preview.options import Options

# The WebUI draws random seeds below this
SEEDS = 4_294_967_294


@dataclass(frozen=True)
class Pace:
    """How long things take, in seconds: one sampling step (or one upscale), and loading a checkpoint."""

    step: float = 0.02
    load: float = 0.3


class PreviewRuntime:
    """What the requests share."""

    def __init__(self, models: Iterable[str] = DEFAULT_MODELS, pace: Pace = Pace()) -> None:
        self.pace = pace
        self.jobs = JobQueue()
        self.options = Options()
        self.checkpoints = Checkpoints(models)
        self._loaded: Checkpoint | None = None

    async def start(self) -> None:
        """Load the first checkpoint; the option then holds its title, hash included."""
        checkpoint = await self.load_selected()
        if self.options["sd_model_checkpoint"] is None:
            self.options.store("sd_model_checkpoint", checkpoint.title)

    async def load_selected(self) -> Checkpoint:
        """Have the checkpoint loaded that the options name; takes `pace.load` when it is not. Hold the queue."""
        checkpoint = self.checkpoints.select(self.options["sd_model_checkpoint"])
        if checkpoint is not self._loaded:
            await asyncio.sleep(self.pace.load)
            checkpoint.hash_file()
            self._loaded = checkpoint
            self.options.store("sd_checkpoint_hash", checkpoint.digest)
        return checkpoint

    def unload(self) -> None:
        """Free the memory; the next job loads again."""
        self._loaded = None

    async def sample(self, steps: int) -> None:
        """Take the time of one sampling pass; an interrupt ends it early."""
        state = self.jobs.state
        state.begin_pass(steps)
        for step in range(steps):
            state.sampling_step = step
            if state.interrupted:
                break
            await asyncio.sleep(self.pace.step)


def fix_seed(seed: int) -> int:
    """The seed itself, or a random one for -1."""
    return secrets.randbelow(SEEDS) if seed == -1 else seed
