"""What the preview runtime refuses, and how SD WebUI words it.

PreviewError
├── RefusedError      the WebUI raised an HTTPException: a status and a `detail`
└── FailedError       anything else the WebUI raised: always 500, with the exception's name and text
"""

from typing import Any

Answer = dict[str, Any]


class PreviewError(Exception):
    """The request cannot be served."""

    status = 500

    def as_answer(self) -> Answer:
        """The JSON body: `{error, detail, body, errors}`, as AUTOMATIC1111 answers every fault but validation."""
        return {"error": "Exception", "detail": "", "body": "", "errors": str(self)}


class RefusedError(PreviewError):
    """The WebUI's own refusal; its text stands in `detail` and `errors` stays empty."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail

    def as_answer(self) -> Answer:
        """See `PreviewError.as_answer`."""
        return {"error": "HTTPException", "detail": self.detail, "body": "", "errors": ""}


class FailedError(PreviewError):
    """An exception inside the WebUI: `kind` is its class's name; its text stands in `errors`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def as_answer(self) -> Answer:
        """See `PreviewError.as_answer`."""
        return {"error": self.kind, "detail": "", "body": "", "errors": str(self)}


def out_of_memory(pixels: int) -> FailedError:
    """What a GPU says when `pixels` are too many; the next job can succeed."""
    return FailedError("OutOfMemoryError", f"CUDA out of memory. Tried to allocate {pixels * 12 / 2**30:.2f} GiB.")
