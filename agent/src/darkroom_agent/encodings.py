"""Base64 of whole files.

By pybase64: the standard library takes milliseconds for each megabyte, and the event loop waits for it, and with it
the GPU's next job.
"""

import pybase64


def decode(text: str, *, strict: bool = False) -> bytes:
    """The file that a text holds as base64, behind a data URI's beginning or without one, in lines or in one.

    Raises:
        ValueError: it is no base64. Characters that are none are skipped, unless `strict`.
    """
    start = text.lstrip()[:5].lower() == "data:"
    digits = text.partition(",")[2] if start else text
    try:
        return pybase64.b64decode(digits, validate=True)
    except ValueError:  # to look for what is none takes six times as long
        return pybase64.b64decode("".join(digits.split()) if strict else digits, validate=strict)


def encode(data: bytes | bytearray | memoryview) -> bytes:
    """A file as base64."""
    return pybase64.b64encode(data)
