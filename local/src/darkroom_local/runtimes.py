"""The compute tier on one machine: further runtimes as stacks, and beside each runtime one agent, as in a pod."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from darkroom.aws.runtime_registry import SsmRuntimeRegistry
from darkroom.runtime_stacks import RuntimeStack
from darkroom.runtimes import Runtime, RuntimeType
from darkroom_agent.runtimes import adapters
from darkroom_local.children import Program, keep_running
from darkroom_local.functions.invocations import Log
from darkroom_local.loopback import HOST, listen
from darkroom_local.stack import Stack, provision_beside
from darkroom_local.supervision import supervise

AGENT = {
    "DARKROOM_ALLOWED_NETWORKS": "127.0.0.0/8",  # inputs served from this machine
    "DARKROOM_DRAIN_SECONDS": "1",
    "DARKROOM_LEASE_SECONDS": "15",  # a killed agent's task goes on before one loses patience
    "DARKROOM_LOG_FORMAT": "json",
    "DARKROOM_POLL_SECONDS": "1",
}
"""What an agent's environment here has beside what its runtime's registration says."""


_PREVIEWED = frozenset({RuntimeType.SDWEBUI, RuntimeType.COMFYUI})


def registered(stack: Stack) -> Mapping[str, Runtime]:
    """The runtimes that are registered with a control plane."""
    return SsmRuntimeRegistry(stack.client("ssm"), stack.outputs["RuntimesPath"]).all()


def provision_runtimes(stack: Stack, template: Path, wanted: Mapping[str, str]) -> Stack:
    """Create a stack for each further runtime, as `darkroom deploy` does.

    `template` is `runtime.yaml`; `wanted` maps names to types. SD WebUI loads the checkpoint that a task asks for,
    as the preview can. Returns the control plane's stack with what is to be hosted for all.

    Raises:
        TemplateError: A name or a type is none.
        StackError: A resource could not be created.
        ValueError: A name is taken.
    """
    if not wanted:
        return stack
    if taken := sorted(set(wanted) & set(registered(stack))):
        raise ValueError(f"there is a runtime {taken[0]} already: the template's own")
    for name, type_ in wanted.items():
        further = RuntimeStack(stack.name, name, type_, dynamic_model=type_ == RuntimeType.SDWEBUI)
        parameters = further.parameters(stack.outputs.__getitem__)
        stack = provision_beside(stack, template, further.name, parameters)
    return stack


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
    """Runs an agent, and a preview runtime unless `urls` names a real one, for each of the registered runtimes.

    Both are started again when they end, as Kubernetes would. `urls` maps runtimes' names to addresses.

    Raises:
        ValueError: a runtime cannot be run, or one is named that there is not.
    """

    def __init__(self, stack: Stack, runtimes: Mapping[str, Runtime], urls: Mapping[str, str], log: Log) -> None:
        _check(runtimes, urls)
        self._stack = stack
        self._runtimes = runtimes
        self._urls = urls
        self._log = log
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for runtime in self._runtimes.values():
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


def _check(runtimes: Mapping[str, Runtime], urls: Mapping[str, str]) -> None:
    if unknown := sorted(set(urls) - set(runtimes)):
        known = ", ".join(sorted(runtimes)) or "none"
        raise ValueError(f"{unknown[0]}={urls[unknown[0]]}: there is no such runtime; there is: {known}")
    known = ", ".join(sorted(adapters()))
    for name, type_ in ((runtime.name, runtime.type) for runtime in runtimes.values()):
        if type_ not in adapters():
            raise ValueError(
                f"{name}={type_}: no adapter for runtimes of this type is installed; there is: {known}"
            )
        if type_ not in _PREVIEWED and name not in urls:
            raise ValueError(
                f"{name}: there is no preview of type {type_}: --runtime-url {name}=… says where yours answers"
            )
