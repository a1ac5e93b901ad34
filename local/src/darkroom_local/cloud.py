"""The local cloud, whole: what `sam deploy` would make of the template, on this machine, for as long as it runs."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from darkroom_local.aws.process import run_aws
from darkroom_local.events.sources import EventSources
from darkroom_local.functions.host import FunctionHost
from darkroom_local.functions.invocations import Log
from darkroom_local.gateway.server import Gateway
from darkroom_local.runtimes import Runtimes, provision_runtimes, registered
from darkroom_local.stack import Stack, provision

DEFAULT_PARAMETERS = {"DynamicModel": "true", "WebhookAllowedNetworks": "127.0.0.0/8"}
"""Template parameters that differ here: the preview runtime has more than one checkpoint to switch between, and
receivers of webhooks run on this machine."""


@dataclass(frozen=True)
class Plan:
    """What to run.

    `port` is the API's and 0 means any free one. `runtimes` maps further runtimes, beside the template's own, to
    their types; each is a stack of `runtime.yaml`, which lies beside the template. `runtime_urls` maps runtimes to
    real servers. Without `agents`, tasks wait in their queues.
    """

    template: Path = Path("sam/template.yaml")
    stack_name: str = "darkroom"
    region: str = "us-east-1"
    port: int = 0
    parameters: Mapping[str, str] = field(default_factory=dict)
    runtimes: Mapping[str, str] = field(default_factory=dict)
    runtime_urls: Mapping[str, str] = field(default_factory=dict)
    agents: bool = True


@dataclass(frozen=True)
class LocalCloud:
    """A running local cloud.

    `api_url` is the stage's address without a slash at the end, `api_key` the value for `x-api-key`;
    `operator_key` is another, which sees the tasks of all owners. `runtimes` maps the runtimes to their types.
    """

    stack: Stack
    api_url: str
    api_key: str = field(repr=False)
    operator_key: str = field(default="", repr=False)
    runtimes: Mapping[str, str] = field(default_factory=dict)


@asynccontextmanager
async def run_cloud(plan: Plan, log: Log) -> AsyncIterator[LocalCloud]:
    """Run the local cloud for the length of a `with` statement.

    `log` gets each part's name and one line at a time. Nothing is left when it ends: state is in memory.

    Raises:
        TemplateError: a template or a parameter is wrong.
        StackError: a resource of a template could not be created.
        ValueError: a runtime cannot be run as the plan says.
    """
    async with AsyncExitStack() as parts:
        aws = run_aws()
        endpoint_url = await asyncio.to_thread(aws.__enter__)
        parts.push_async_callback(asyncio.to_thread, aws.__exit__, None, None, None)
        parameters = {**DEFAULT_PARAMETERS, **plan.parameters}
        stack = await asyncio.to_thread(
            provision, endpoint_url, plan.template, plan.stack_name, parameters, plan.region
        )
        stack = await asyncio.to_thread(
            provision_runtimes, stack, plan.template.with_name("runtime.yaml"), plan.runtimes
        )
        runtimes = await asyncio.to_thread(registered, stack)
        tier = Runtimes(stack, runtimes, plan.runtime_urls, log) if plan.agents else None
        host = FunctionHost(
            stack.functions,
            endpoint_url=endpoint_url,
            region=stack.region,
            credentials=stack.credentials,
            client=stack.client,
            log=log,
        )
        await parts.enter_async_context(host)
        await asyncio.to_thread(stack.route_functions, host.endpoint_url)
        events = EventSources(
            stack.event_sources,
            stack.schedules,
            invoke=host.invoke,
            client=stack.client,
            log=log,
            region=stack.region,
        )
        await parts.enter_async_context(events)
        (api,) = stack.rest_apis
        gateway = await parts.enter_async_context(Gateway(api, invoke=host.invoke, log=log, port=plan.port))
        if tier is not None:
            await parts.enter_async_context(tier)
        operators = {function.environment.get("DARKROOM_OPERATOR_KEY_ID") for function in stack.functions}
        keys = sorted(api.keys, key=lambda key: api.keys[key] in operators)
        types = {name: runtime.type for name, runtime in sorted(runtimes.items())}
        yield LocalCloud(stack, gateway.url, keys[0], keys[-1], types)
