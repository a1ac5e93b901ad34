"""Files on this machine, as they come and go."""

import mimetypes
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from darkroom_cli.errors import TransferError
from darkroom_cli.flows import Part


class AtomicFile:
    """A file that appears under its name when it is kept, and leaves no trace when it is not.

    A name without an extension gets the one of the content type.
    """

    def __init__(self, target: Path, headers: Mapping[str, str]) -> None:
        kind = headers.get("content-type", "").partition(";")[0].strip()
        self.target = target if target.suffix else target.with_suffix(mimetypes.guess_extension(kind) or "")

    def __enter__(self) -> Self:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=self.target.parent)
        self._file = os.fdopen(handle, "wb")
        self._path = Path(name)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        with suppress(FileNotFoundError):  # it was kept
            self._path.unlink()

    def write(self, chunk: bytes) -> None:
        """Add to the file."""
        self._file.write(chunk)

    def keep(self) -> Path:
        """Give the file its name; returns it."""
        self._file.close()
        self._path.chmod(0o666 & ~_umask())
        return self._path.replace(self.target)


def chunks(part: Part, size: int) -> Iterator[bytes]:
    """A part of a file, `size` bytes at a time.

    Raises:
        TransferError: the file has become shorter.
    """
    with part.path.open("rb") as file:
        file.seek(part.start)
        left = part.length
        while left:
            chunk = file.read(min(size, left))
            if not chunk:
                raise TransferError(f"{part.path} became shorter while it was read")
            left -= len(chunk)
            yield chunk


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
