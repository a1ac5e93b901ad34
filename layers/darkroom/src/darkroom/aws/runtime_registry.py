"""The registry of runtimes in the SSM parameter store: one parameter a runtime, written by its stack."""

import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import ValidationError

from darkroom.runtimes import Runtime

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

MAX_AGE = 60.0
"""How long an answer may be used again, in seconds."""

MIN_AGE = 2.0
"""How long even `refresh` uses an answer again, in seconds: wrong names must not become calls to SSM."""

log = logging.getLogger(__name__)


class SsmRuntimeRegistry:
    """A `RuntimeRegistry` of the parameters below `path` (`/<stack>/runtimes`)."""

    def __init__(self, client: "SSMClient", path: str) -> None:
        self._client = client
        self._path = path
        self._runtimes: Mapping[str, Runtime] = {}
        self._read_at = float("-inf")

    def all(self) -> Mapping[str, Runtime]:
        """See `RuntimeRegistry.all`."""
        return self._younger_than(MAX_AGE)

    def refresh(self) -> Mapping[str, Runtime]:
        """See `RuntimeRegistry.refresh`."""
        return self._younger_than(MIN_AGE)

    def _younger_than(self, seconds: float) -> Mapping[str, Runtime]:
        if time.monotonic() - self._read_at > seconds:
            pages = self._client.get_paginator("get_parameters_by_path").paginate(Path=self._path)
            entries = [parameter["Value"] for page in pages for parameter in page["Parameters"]]
            runtimes = [runtime for entry in entries if (runtime := _read(entry)) is not None]
            self._runtimes = {runtime.name: runtime for runtime in runtimes}
            self._read_at = time.monotonic()
        return self._runtimes


def _read(entry: str) -> Runtime | None:
    """One entry; a broken one must not take the other runtimes down with it."""
    try:
        return Runtime.model_validate_json(entry)
    except ValidationError as error:
        log.warning("runtime_entry_unreadable", extra={"entry": entry, "error": str(error)})
        return None
