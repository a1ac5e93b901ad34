"""One job at a time, first come first served, and what `/progress` tells about it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from PIL import Image

Result = TypeVar("Result")

# The WebUI's default of `show_progress_every_n_steps`
STEPS_BETWEEN_PREVIEWS = 10


@dataclass
class JobState:
    """Where the job in hand stands; the fields are `state` of `/sdapi/v1/progress`.

    `job_count` is -1 while a job sets up and 0 when idle. `sketch` draws the live preview; the WebUI makes a new
    one when somebody asks and ten steps have passed since the last.
    """

    skipped: bool = False
    interrupted: bool = False
    stopping_generation: bool = False
    job: str = ""
    job_count: int = 0
    job_timestamp: str = "0"
    job_no: int = 0
    sampling_step: int = 0
    sampling_steps: int = 0
    started: float = field(default_factory=time.monotonic)
    sketch: Callable[[], Image.Image] | None = None
    sketched_step: int = 0
    current_image: Image.Image | None = None

    def begin(self, job: str) -> None:
        """Forget the last job, its interruption too: an interrupt sent while idle is harmless."""
        timestamp = datetime.now().astimezone().strftime("%Y%m%d%H%M%S")
        # the WebUI keeps the last job's sampling_steps until the sampler sets its own
        fresh = JobState(job=job, job_count=-1, job_timestamp=timestamp, sampling_steps=self.sampling_steps)
        self.__dict__.update(fresh.__dict__)

    def begin_pass(self, steps: int) -> None:
        """Start sampling; `sampling_step` counts from 0, so that progress stays below 1."""
        self.sampling_step = self.sketched_step = 0
        self.sampling_steps = steps

    def end(self) -> None:
        """Become idle."""
        self.job = ""
        self.job_count = 0
        self.sketch = self.current_image = None

    def progress(self) -> float:
        """`0.01 + job_no/job_count + step/steps/job_count`, 0 when idle."""
        if self.job_count == 0:
            return 0.0
        progress = 0.01
        if self.job_count > 0:
            progress += self.job_no / self.job_count
        if self.sampling_steps > 0:
            progress += self.sampling_step / self.sampling_steps / self.job_count
        return min(progress, 1.0)

    def eta_relative(self) -> float:
        """Seconds that are left at the present pace."""
        progress = self.progress()
        elapsed = time.monotonic() - self.started
        return elapsed / progress - elapsed if progress > 0 else 0.0

    def look(self) -> Image.Image | None:
        """The live preview: an eighth of the picture's size; None before the tenth step."""
        sketch = self.sketch  # the job may end while another thread draws
        if sketch and self.sampling_step - self.sketched_step >= STEPS_BETWEEN_PREVIEWS:
            self.sketched_step = self.sampling_step
            self.current_image = sketch()
        return self.current_image

    def snapshot(self) -> dict[str, Any]:
        """The state as `/progress` shows it."""
        hidden = {"started", "sketch", "sketched_step", "current_image"}
        return {key: value for key, value in vars(self).items() if key not in hidden}


class JobQueue:
    """The WebUI's queue lock. Requests wait; none is refused, and none ends because its client left."""

    def __init__(self) -> None:
        self.state = JobState()
        self._lock = asyncio.Lock()
        self._waiting: set[asyncio.Task[Any]] = set()
        self._running: asyncio.Task[Any] | None = None

    async def run(self, name: str, work: Callable[[], Awaitable[Result]], *, tidy: bool = True) -> Result:
        """Wait for the lock, then run `work` as the job `name` that `/progress` tells about.

        One that is not `tidy` seems to run on after it failed, until the next job.
        """

        async def tracked() -> Result:
            self.state.begin(name)
            try:
                result = await work()
            except Exception:
                if tidy:
                    self.state.end()
                raise
            self.state.end()
            return result

        return await self.run_untracked(name, tracked)

    async def run_untracked(self, name: str, work: Callable[[], Awaitable[Result]]) -> Result:
        """Wait for the lock, then run `work` without `/progress` knowing (loading a model, say)."""
        task = asyncio.create_task(self._hold(work), name=f"job {name}")
        self._waiting.add(task)
        task.add_done_callback(self._forget)
        # a handler that ends early must not take the job with it
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Drop what waits, finish what runs. A dropped request's connection closes without an answer."""
        for task in self._waiting:
            task.cancel()
        if self._running:
            await asyncio.wait([self._running])

    async def _hold(self, work: Callable[[], Awaitable[Result]]) -> Result:
        async with self._lock:
            task = asyncio.current_task()
            self._running = task
            if task:
                self._waiting.discard(task)
            try:
                return await work()
            finally:
                self._running = None

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._waiting.discard(task)
        if not task.cancelled():
            task.exception()  # seen: nobody may be left to await it
