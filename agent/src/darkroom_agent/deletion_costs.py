"""The pod's `controller.kubernetes.io/pod-deletion-cost`: a scale-down takes idle pods before busy ones.

Source: "ReplicaSet, pod deletion cost" in Kubernetes' documentation. The pod's service account must be allowed to
patch its pods.
"""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import aiohttp

from darkroom_agent.faults import backoff, describe
from darkroom_agent.logs import EventLog

log = EventLog(__name__)

ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
IDLE, BUSY = 0, 100

EVERY = 5.0
"""Seconds between looks. Each change costs the API server a write, so short pauses between tasks are not told."""

_LONGEST = 300.0  # seconds between tries: it may be that the service account may not do it, and never will
_TIMEOUT = aiohttp.ClientTimeout(total=10)


class DeletionCosts:
    """Publishes whether the agent is busy. `account` is where the service account's token and certificates lie."""

    def __init__(
        self, url: str, account: Path, pod: str, is_busy: Callable[[], bool], every: float = EVERY
    ) -> None:
        self._url = url.rstrip("/")
        self._account = account
        self._pod = pod
        self._is_busy = is_busy
        self._every = every
        self._trusted: ssl.SSLContext | None = None

    async def publish(self) -> None:
        """Publish changes until cancelled. What goes wrong is tried again: it decides about nothing here."""
        told: int | None = None
        failures = 0
        async with aiohttp.ClientSession(trust_env=False, timeout=_TIMEOUT) as session:
            while True:
                cost = BUSY if self._is_busy() else IDLE
                if cost != told:
                    try:
                        await self._patch(session, cost)
                        told, failures = cost, 0
                    except (aiohttp.ClientError, TimeoutError, OSError) as error:
                        failures += 1
                        log.warning("deletion_cost_untold", error=describe(error))
                await asyncio.sleep(backoff(failures, self._every, _LONGEST) if failures else self._every)

    async def _patch(self, session: aiohttp.ClientSession, cost: int) -> None:
        namespace, token = (self._read(name) for name in ("namespace", "token"))  # a token is renewed in its file
        url = f"{self._url}/api/v1/namespaces/{namespace}/pods/{self._pod}"
        body = f'{{"metadata": {{"annotations": {{"{ANNOTATION}": "{cost}"}}}}}}'
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/merge-patch+json"}
        async with session.patch(url, data=body, headers=headers, ssl=self._trust()) as answer:
            answer.raise_for_status()

    def _read(self, name: str) -> str:
        return (self._account / name).read_text().strip()

    def _trust(self) -> ssl.SSLContext:
        if self._trusted is None:
            certificates = self._account / "ca.crt"
            self._trusted = ssl.create_default_context(cafile=certificates if certificates.exists() else None)
        return self._trusted
