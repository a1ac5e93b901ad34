"""What the pod is asked: `/healthz` (restart me?), `/readyz` (am I at work?), and `/metrics`."""

from dataclasses import dataclass, field

from aiohttp import web

from darkroom_agent import metrics
from darkroom_agent.drains import Drain


@dataclass
class Health:
    """How the agent is.

    `waiting_for` says, in words, what the runtime still lacks; None while it can work. `hung` is set when the
    runtime neither works nor answers, and only a restart helps.
    """

    drain: Drain
    waiting_for: str | None = "the first look at the runtime"
    hung: bool = False
    _site: web.AppRunner | None = field(default=None, repr=False)

    async def serve(self, port: int) -> None:
        """Answer on that port, on every interface: probes come from the node. 0 is for nowhere."""
        if port == 0:
            return
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
            ]
        )
        self._site = web.AppRunner(app, access_log=None)
        await self._site.setup()
        await web.TCPSite(self._site, None, port).start()

    async def close(self) -> None:
        """Stop answering."""
        if self._site is not None:
            await self._site.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        if self.hung:
            return web.json_response({"status": "hung", "waiting_for": self.waiting_for}, status=503)
        return web.json_response({"status": "ok"})

    async def _metrics(self, _: web.Request) -> web.Response:
        body, content_type = metrics.render()
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _readyz(self, _: web.Request) -> web.Response:
        draining = self.drain.draining.is_set()
        ready = self.waiting_for is None and not draining
        body = {"status": "ready" if ready else "not ready", "waiting_for": self.waiting_for}
        return web.json_response(body | {"draining": draining}, status=200 if ready else 503)
