"""What a running job shows so far, where its owner can see it.

Previews are a courtesy: they are made rarely, since each costs the runtime a moment, and whatever goes wrong with
one changes nothing for the task.
"""

import asyncio

from darkroom.errors import ExecutionError
from darkroom.ports import BlobStore
from darkroom_agent.faults import AWS_FAULTS, describe, is_passing
from darkroom_agent.leases import Lease
from darkroom_agent.logs import EventLog
from darkroom_agent.outputs import name_type
from darkroom_agent.runtimes import Previewing, Runtime
from darkroom_agent.threads import Threads

log = EventLog(__name__)

FOLDER = ".previews"
"""Where in the output bucket they lie; a rule of the bucket removes them after a day."""

_LONGEST = 10.0
"""Seconds that asking for one, or uploading it, may take."""


class Previews:
    """Brings previews to the bucket. `every` is in seconds; 0 is for never."""

    def __init__(self, runtime: Runtime, blobs: BlobStore, threads: Threads, bucket: str, every: float) -> None:
        self._runtime = runtime if isinstance(runtime, Previewing) and every else None  # to look takes a while
        self._blobs = blobs
        self._threads = threads
        self._bucket = bucket
        self._every = every

    async def follow(self, lease: Lease) -> None:
        """Show what the task's run has, until cancelled; the task's heartbeat writes the link down."""
        if self._runtime is None:
            return
        shown = None
        while True:
            await asyncio.sleep(self._every)
            try:
                async with asyncio.timeout(_LONGEST):
                    image = await self._runtime.preview()
                    if image and image != shown:
                        lease.preview = await self._upload(lease, image)
                        shown = image
            except (ExecutionError, TimeoutError, *AWS_FAULTS) as error:
                log.debug("preview_failed", error=describe(error))
                if isinstance(error, AWS_FAULTS) and not is_passing(error):
                    return

    async def _upload(self, lease: Lease, image: bytes) -> str:
        extension, content_type = name_type(image)
        link = f"s3://{self._bucket}/{FOLDER}/{lease.task.key}.{extension}"
        await self._threads(self._blobs.put, link, image, content_type, {"task-id": lease.task.id})
        return link
