"""What of a runtime's answers may be told and kept: no tracebacks, no paths, no files."""

import re
from collections.abc import Mapping
from typing import Any

from darkroom.errors import TaskInterruptedError
from darkroom_agent.faults import RuntimeHungError

LONGEST_MESSAGE = 300
"""Characters of a message about one fault."""

CONNECTION: Mapping[str, Mapping[str, str]] = {"POST": {"Connection": "close"}}
"""Headers by method. Servers on uvicorn (Forge, many others) answer 500 and close the connection without a word: a
job that is sent over it next would be lost. What only reads is asked again by aiohttp itself."""

_LONGEST_TEXT = 1024
_BASE64 = re.compile(r"[A-Za-z0-9+/=\r\n]*")
_OUT_OF_MEMORY = re.compile(
    r"out ?of ?memory|allocation on device|can't allocate memory|not enough memory|unable to allocate"
    r"|\bMemoryError\b|\bbad_alloc\b|_ALLOC_FAILED\b",
    re.IGNORECASE,
)
_GPU_FAULT = re.compile(r"\b(CUDA|HIP)( driver)? error\b|\bCUBLAS_STATUS_|\bcuDNN error\b", re.IGNORECASE)
_DISK_FULL = re.compile(r"no space left on device", re.IGNORECASE)
_PATH = re.compile(r"(?<![\w:/.])(?:[A-Za-z]:)?[\\/](?:[\w.@+-]+[\\/])+([\w.@+-]*)")


def machine_fault(text: str, message: str) -> TaskInterruptedError | None:
    """What a runtime's complaint means where it lies in the machine, not in the task; None elsewhere.

    Without memory another run may go right. A process whose GPU faulted does nothing right any more, nor does one
    whose disk is full: what it wrote goes with its container.
    """
    if _OUT_OF_MEMORY.search(text):
        return TaskInterruptedError("out_of_memory", message)
    if _GPU_FAULT.search(text):
        return RuntimeHungError("gpu_fault", message)
    if _DISK_FULL.search(text):
        return RuntimeHungError("disk_full", message)
    return None


def without_files(value: Any) -> Any:  # noqa: ANN401  JSON is anything
    """A copy of an answer with notes where files were: `alwayson_scripts` is echoed whole, base64 included."""
    if isinstance(value, str):
        if value.startswith("data:") or (len(value) > _LONGEST_TEXT and _BASE64.fullmatch(value)):
            return f"<{len(value)} characters of base64>"
        return value
    if isinstance(value, list):
        return [without_files(item) for item in value]
    if isinstance(value, dict):
        return {name: without_files(item) for name, item in value.items()}
    return value


def tidy(text: str, longest: int = LONGEST_MESSAGE) -> str:
    """A message for the task's owner: short, without tracebacks, and without the paths of a machine not theirs.

    `longest` is in characters.
    """
    lines = [line.strip() for line in text.splitlines()]
    told = [line for line in lines if line and not line.startswith(("Traceback ", 'File "'))]
    if len(told) < len([line for line in lines if line]):  # a traceback: the fault is in its last line
        told = told[-1:]
    message = _PATH.sub(r"…/\1", " ".join(told))
    return message if len(message) <= longest else message[: longest - 1] + "…"
