"""Inputs that were downloaded before, on disk, for those who link to them again.

Nothing is taken from here without asking: each use is a conditional request, answered by who has the original. So
nobody gets what they may not read, and nothing is out of date.
"""

import shutil
import tempfile
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from darkroom_agent.faults import describe
from darkroom_agent.logs import EventLog

log = EventLog(__name__)


@dataclass(frozen=True)
class _Entry:
    tag: str
    size: int
    file: Path


class InputCache:
    """Files by URL and tag (ETag), at most `max_bytes` of them; those used last stay.

    On disk, since memory would count against the pod's limit. Its calls block. Where there is no disk to write to,
    it stays empty.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._folder: Path | None = None
        self._made = 0
        self._lock = Lock()

    def tag(self, url: str) -> str:
        """The tag of what is here for that URL; empty where nothing is."""
        entry = self._entries.get(url)
        return entry.tag if entry is not None else ""

    def read(self, url: str, tag: str) -> bytes | None:
        """What is here for that URL with that tag; None where it has gone meanwhile."""
        with self._lock:
            entry = self._entries.get(url)
            if entry is None or entry.tag != tag:
                return None
            self._entries.move_to_end(url)
            try:
                return entry.file.read_bytes()
            except OSError as error:
                log.warning("cache_unreadable", error=describe(error))
                self._drop(url)
                return None

    def keep(self, url: str, tag: str, data: bytes | bytearray) -> None:
        """Keep what the URL leads to, but no file without a tag, and none that would push out most others."""
        if not tag or len(data) > self._max_bytes / 2:
            return
        with self._lock:
            self._drop(url)
            while self._entries and sum(e.size for e in self._entries.values()) + len(data) > self._max_bytes:
                self._drop(next(iter(self._entries)))
            try:
                self._entries[url] = _Entry(tag, len(data), self._write(data))
            except OSError as error:
                log.warning("cache_unwritable", error=describe(error))

    def close(self) -> None:
        """Remove everything."""
        with self._lock:
            self._entries.clear()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    def _write(self, data: bytes | bytearray) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="darkroom-inputs-"))
        self._made += 1
        file = self._folder / str(self._made)
        try:
            file.write_bytes(data)
        except OSError:  # a full disk keeps what fitted
            with suppress(OSError):
                file.unlink()
            raise
        return file

    def _drop(self, url: str) -> None:
        entry = self._entries.pop(url, None)
        if entry is not None:
            with suppress(OSError):
                entry.file.unlink()
