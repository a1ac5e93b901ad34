"""The compute tier on one machine: beside each registered runtime one agent, as in a pod."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Self

from darkroom.aws.runtime_registry import SsmRuntimeRegistry
from darkroom.runtimes import Runtime, RuntimeType
from darkroom_local.children import Program, keep_running
from darkroom_local.functions.invocations import Log
from darkroom_local.loopback import HOST, listen
from darkroom_local.stack import Stack
from darkroom_local.supervision import supervise

AGENT = {
    "DARKROOM_ALLOWED_NETWORKS": "127.0.0.0/8",  # inputs served from this machine
    "DARKROOM_DRAIN_SECONDS": "1",
    "DARKROOM_LEASE_SECONDS": "15",  # a killed agent's task goes on before one loses patience
    "DARKROOM_LOG_FORMAT": "json",
    "DARKROOM_POLL_SECONDS": "1",
}
"""What an agent's environment here has beside what its runtime's registration says."""


def agent_environment(stack: Stack, runtime: Runtime, url: str) -> dict[str, str]:
    """Everything that an agent of this runtime sees: its registration, its role's credentials, where AWS is."""
    place = {"AWS_ENDPOINT_URL": stack.endpoint_url, "AWS_DEFAULT_REGION": stack.region}
    return {
        **AGENT,
        **runtime.agent,
        "DARKROOM_RUNTIME_URL": url,
        **place,
        **stack.credentials(runtime.role_arn or ""),
    }


class Runtimes:
    """Runs an agent, and a preview runtime unless `urls` names a real one, for each registered runtime.

    Both are started again when they end, as Kubernetes would. `urls` maps runtimes' names to addresses.
    """

    def __init__(self, stack: Stack, urls: Mapping[str, str], log: Log) -> None:
        self._stack = stack
        self._urls = urls
        self._log = log
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        registry = SsmRuntimeRegistry(self._stack.client("ssm"), self._stack.outputs["RuntimesPath"])
        runtimes = await asyncio.to_thread(registry.all)
        unknown = sorted(set(self._urls) - set(runtimes))
        if unknown:
            raise ValueError(
                f"no such runtime: {', '.join(unknown)}; the template has {', '.join(sorted(runtimes))}"
            )
        own = sorted(r.name for r in runtimes.values() if r.type is RuntimeType.HTTP and r.name not in self._urls)
        if own:
            raise ValueError(f"there is no preview of one's own runtime: say where {', '.join(own)} answers")
        for runtime in runtimes.values():
            url = self._urls.get(runtime.name) or self._start_preview(runtime)
            environment = await asyncio.to_thread(agent_environment, self._stack, runtime, url)
            self._keep(Program(f"agent:{runtime.name}", "darkroom_agent", environment=environment))
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._exit.aclose()

    def _start_preview(self, runtime: Runtime) -> str:
        with listen() as free:
            port = free.getsockname()[1]
        models = ["--model", runtime.model, "sd_xl_base_1.0.safetensors"] if runtime.model else []
        arguments = ("--type", runtime.type, "--port", str(port), *models)
        self._keep(Program(f"preview:{runtime.name}", "darkroom_local.preview", arguments))
        return f"http://{HOST}:{port}"

    def _keep(self, program: Program) -> None:
        task = asyncio.create_task(
            supervise(program.name, partial(keep_running, program, self._log), log=self._log), name=program.name
        )

        async def stop() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self._exit.push_async_callback(stop)
