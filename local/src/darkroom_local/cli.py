"""`darkroom local` and `darkroom demo`."""

import asyncio
import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from darkroom_local.cloud import LocalCloud, Plan, run_cloud
from darkroom_local.console import ConsoleLog
from darkroom_local.demo import run_demo
from darkroom_local.stack import StackError
from darkroom_local.template import TemplateError

app = typer.Typer(no_args_is_help=True, help="Run Darkroom's cloud on this machine: no account, no GPU, no Docker.")

Template = Annotated[Path, typer.Option(help="The SAM template to run.", exists=True, dir_okay=False)]
DEFAULT_TEMPLATE = Path("sam/template.yaml")
_EXAMPLE = json.dumps(
    {
        "task": {
            "metadata": {"id": "test-t2i", "runtime": "sdruntime", "tasktype": "text-to-image", "prefix": "output"},
            "content": {"prompt": "A dog", "steps": 16},
        }
    }
).replace("[", r"\[")


@app.command()
def up(  # noqa: PLR0913  each is an option of the command
    *,
    template: Template = DEFAULT_TEMPLATE,
    port: Annotated[int, typer.Option(help="Port of the API; 0 picks a free one.")] = 8080,
    stack_name: Annotated[str, typer.Option(help="Name of the stack.")] = "darkroom",
    region: Annotated[str, typer.Option(help="Region that the emulated AWS plays.")] = "us-east-1",
    parameter: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter of the template; may be repeated.")
    ] = None,
    runtime_url: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=URL", help="Use a real SD WebUI in place of a runtime's preview; may be repeated."
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show metrics too.")] = False,
) -> None:
    """Start everything and keep it running until Ctrl-C.

    State is in memory: when it stops, tasks and images are gone, and no process is left.
    """
    plan = Plan(
        template=template,
        stack_name=stack_name,
        region=region,
        port=port,
        parameters=_pairs("--parameter", parameter or ()),
        runtime_urls=_pairs("--runtime-url", runtime_url or ()),
    )
    console = Console()
    try:
        asyncio.run(_up(plan, console, ConsoleLog(console, stack_name, verbose=verbose)))
    except (TemplateError, StackError, ValueError, OSError) as error:
        console.print(f"[red]The local cloud did not start:[/red] {error}", highlight=False)
        raise typer.Exit(1) from error


def demo(
    *,
    template: Template = DEFAULT_TEMPLATE,
    output: Annotated[Path, typer.Option(help="Where the images go.")] = Path("demo-output"),
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the parts' logs.")] = False,
) -> None:
    """Run the guide's own requests on a local cloud of their own, and show what comes of each.

    Ends with an error if anything is missing: an image, a callback message, an event.
    """
    if not asyncio.run(run_demo(template, output, Console(), verbose=verbose)):
        raise typer.Exit(1)


def _pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    pairs = dict(text.partition("=")[::2] for text in texts)
    if not all(name and value for name, value in pairs.items()):
        raise typer.BadParameter(f"{option} takes NAME=VALUE")
    return pairs


async def _up(plan: Plan, console: Console, log: ConsoleLog) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with console.status("starting the local cloud …"):
        cloud = run_cloud(plan, log)
        running = await cloud.__aenter__()
    try:
        console.print(_welcome(running), highlight=False, soft_wrap=True)
        await stop.wait()
        console.print("stopping …", style="dim")
    finally:
        await cloud.__aexit__(None, None, None)


def _welcome(cloud: LocalCloud) -> str:
    """What a user needs to know; no box around it, so that commands can be copied."""
    stack, keys, header = cloud.stack, cloud.stack.administrator, f"-H 'x-api-key: {cloud.api_key}'"
    return f"""
[b]{stack.name} is running[/b]; Ctrl-C stops it

  API      {cloud.api_url}
  API key  {cloud.api_key}
  images   s3://{stack.outputs["OutputS3Bucket"]}

[b]Try it[/b]

curl {cloud.api_url}/v1alpha2 {header} -H 'Content-Type: application/json' -d '{_EXAMPLE}'
curl {cloud.api_url}/v1/tasks/test-t2i {header}

[b]The emulated AWS[/b], for the AWS CLI and the SDKs

export AWS_ENDPOINT_URL={stack.endpoint_url} AWS_DEFAULT_REGION={stack.region}
export AWS_ACCESS_KEY_ID={keys["aws_access_key_id"]} AWS_SECRET_ACCESS_KEY={keys["aws_secret_access_key"]}
"""
