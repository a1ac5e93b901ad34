"""Notices that a spot instance will be taken away, from the instance's metadata service (IMDSv2).

Sources: "Spot Instance interruption notices" and "EC2 instance rebalance recommendations" in the EC2 user guide. A
pod reaches the service where the instance's hop limit allows it (2 for pods on a bridge network).
"""

import asyncio
import json
from datetime import UTC, datetime

import aiohttp

from darkroom_agent.drains import Drain
from darkroom_agent.faults import describe
from darkroom_agent.logs import EventLog

log = EventLog(__name__)

EVERY = 5.0
"""Seconds between looks, as the user guide advises. A notice comes two minutes ahead."""

RESERVE = 10.0
"""Seconds before the instance goes by which everything should have been let go."""

_TOKEN_SECONDS = 21_600
_TIMEOUT = aiohttp.ClientTimeout(total=3)
_OK = 200
_UNAUTHORIZED = 401


class Interruptions:
    """Starts the drain when a notice comes."""

    def __init__(self, url: str, drain: Drain, every: float = EVERY) -> None:
        self._base = url.rstrip("/") + "/latest/"
        self._drain = drain
        self._every = every
        self._token: str | None = None

    async def watch(self) -> None:
        """Look for notices until one of an interruption came. A service that does not answer is asked again."""
        is_told = False
        async with aiohttp.ClientSession(trust_env=False, timeout=_TIMEOUT) as session:
            while True:
                try:
                    if await self._look(session):
                        return
                    is_told = False
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    if not is_told:  # once: the hop limit may keep it away for good
                        log.warning("metadata_unavailable", error=describe(error))
                    is_told = True
                await asyncio.sleep(self._every)

    async def _look(self, session: aiohttp.ClientSession) -> bool:
        action = await self._get(session, "meta-data/spot/instance-action")
        if action is not None:
            self._drain.foresee("spot interruption", _seconds_until(action))
            return True
        rebalance = "meta-data/events/recommendations/rebalance"
        if not self._drain.draining.is_set() and await self._get(session, rebalance) is not None:
            self._drain.foresee("rebalance recommendation")
        return False

    async def _get(self, session: aiohttp.ClientSession, path: str) -> str | None:
        """What the service says, or None where it has no such thing: then there is no notice."""
        if self._token is None:
            lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_SECONDS)}
            async with session.put(self._base + "api/token", headers=lifetime) as answer:
                answer.raise_for_status()
                self._token = await answer.text()
        async with session.get(self._base + path, headers={"X-aws-ec2-metadata-token": self._token}) as answer:
            if answer.status == _UNAUTHORIZED:
                self._token = None
            return await answer.text() if answer.status == _OK else None


def _seconds_until(action: str) -> float | None:
    """Seconds until what `{"action": "terminate", "time": "2017-09-18T08:22:00Z"}` announces, less a reserve.

    None where the notice does not say.
    """
    try:
        at = datetime.fromisoformat(json.loads(action)["time"])
        return max((at - datetime.now(UTC)).total_seconds() - RESERVE, 0)
    except (ValueError, KeyError, TypeError) as error:
        log.warning("notice_unreadable", error=describe(error))
        return None
