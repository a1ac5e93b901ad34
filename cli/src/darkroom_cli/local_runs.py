"""Runs of the local cloud from the command line. Importing this loads darkroom-local, which takes a second."""

import asyncio
import json
import os
import signal
from pathlib import Path

from rich.console import Console

from darkroom_cli.async_client import AsyncClient
from darkroom_cli.commands.sessions import Session
from darkroom_cli.errors import LocalCloudError
from darkroom_cli.local_state import LocalState, announced
from darkroom_local.cloud import LocalCloud, Plan, run_cloud
from darkroom_local.console import ConsoleLog
from darkroom_local.demo import run_demo
from darkroom_local.stack import StackError
from darkroom_local.template import TemplateError

_EXAMPLE = json.dumps(
    {
        "task": {
            "metadata": {"id": "test-t2i", "runtime": "sdruntime", "tasktype": "text-to-image", "prefix": "output"},
            "content": {"prompt": "A dog", "steps": 16},
        }
    }
).replace("[", r"\[")


async def run_until_stopped(session: Session, plan: Plan, *, verbose: bool) -> None:
    """Run the local cloud until SIGINT or SIGTERM, and let clients on this machine find it meanwhile.

    Raises:
        LocalCloudError: it did not start.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    console = session.err if session.json else session.out
    cloud = run_cloud(plan, ConsoleLog(console, plan.stack_name, verbose=verbose))
    with session.err.status("starting the local cloud …"):
        try:
            running = await cloud.__aenter__()
        except (TemplateError, StackError, ValueError, OSError) as error:
            raise LocalCloudError(f"The local cloud did not start: {error}") from error
    try:
        state = state_of(running)
        with announced(state):
            if session.json:
                session.give_json(state.model_dump(), lines=True)
            else:
                console.print(_welcome(running), highlight=False, soft_wrap=True)
            await stop.wait()
            session.say("[dim]stopping …[/]")
    finally:
        await cloud.__aexit__(None, None, None)


async def show_demo(session: Session, template: Path, output: Path, *, verbose: bool) -> bool:
    """Run the demo; returns whether nothing is missing."""
    console = session.err if session.json else Console()
    good = await run_demo(template, output, console, AsyncClient, verbose=verbose)
    if session.json:
        session.give_json({"complete": good, "folder": str(output)})
    return good


def state_of(cloud: LocalCloud) -> LocalState:
    """What clients on this machine need to know of a local cloud."""
    stack, keys = cloud.stack, cloud.stack.administrator
    (api,) = stack.rest_apis
    operator = stack.outputs.get("GetOperatorKeyCommand", "")
    return LocalState(
        pid=os.getpid(),
        url=cloud.api_url,
        api_key=cloud.api_key,
        operator_key=next((key for key, id_ in api.keys.items() if id_ in operator), cloud.api_key),
        stack=stack.name,
        region=stack.region,
        endpoint_url=stack.endpoint_url,
        access_key_id=keys["aws_access_key_id"],
        secret_access_key=keys["aws_secret_access_key"],
    )


def _welcome(cloud: LocalCloud) -> str:
    """What a user needs to know; no box around it, so that commands can be copied."""
    stack, keys, header = cloud.stack, cloud.stack.administrator, f"-H 'x-api-key: {cloud.api_key}'"
    return f"""
[b]{stack.name} is running[/b]; Ctrl-C stops it

  API      {cloud.api_url}
  API key  {cloud.api_key}
  images   s3://{stack.outputs["OutputS3Bucket"]}
  runtimes {", ".join(f"{name} ({type_})" for name, type_ in cloud.runtimes.items())}

[b]Try it[/b], in another terminal

darkroom run --prompt "A dog" --steps 16
darkroom tasks list
darkroom events tail

[b]Or by hand[/b]

curl {cloud.api_url}/v1alpha2 {header} -H 'Content-Type: application/json' -d '{_EXAMPLE}'
curl {cloud.api_url}/v1/tasks/test-t2i {header}

[b]The emulated AWS[/b], for the AWS CLI and the SDKs

export AWS_ENDPOINT_URL={stack.endpoint_url} AWS_DEFAULT_REGION={stack.region}
export AWS_ACCESS_KEY_ID={keys["aws_access_key_id"]} AWS_SECRET_ACCESS_KEY={keys["aws_secret_access_key"]}
"""
