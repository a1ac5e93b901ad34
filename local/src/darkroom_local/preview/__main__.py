"""`python -m darkroom_local.preview`: serve the preview runtime until SIGTERM or SIGINT."""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from darkroom_local.preview.comfyui.server import make_app as make_comfyui
from darkroom_local.preview.models import DEFAULT_MODELS
from darkroom_local.preview.runtime import Pace
from darkroom_local.preview.server import make_app as make_sdwebui

# How long a job in flight may still take after SIGTERM, in seconds
GRACE = 600.0

logger = logging.getLogger("darkroom_local.preview")


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m darkroom_local.preview", description=__doc__)
    parser.add_argument("--type", choices=["sdwebui", "comfyui"], default="sdwebui", help="whose API to speak")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=7860, help="port to listen on; 0 picks a free one")
    parser.add_argument(
        "--model", nargs="+", action="extend", metavar="NAME", help="checkpoints to pretend; the first is loaded"
    )
    parser.add_argument("--step-seconds", type=float, default=0.02, help="how long a sampling step takes")
    parser.add_argument("--load-seconds", type=float, default=0.3, help="how long loading a checkpoint takes")
    return parser.parse_args(arguments)


def make_app(arguments: argparse.Namespace) -> tuple[web.Application, float]:
    """The application, and how long it goes on after SIGTERM: ComfyUI drops what it works on."""
    models = arguments.model or DEFAULT_MODELS
    if arguments.type == "comfyui":
        return make_comfyui(models, Pace(arguments.step_seconds, arguments.load_seconds)), 0.0
    return make_sdwebui(models, arguments.step_seconds, arguments.load_seconds), GRACE


async def serve(arguments: argparse.Namespace) -> None:
    """Listen, say so, and on a signal finish the job in flight where the server would."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app, grace = make_app(arguments)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=grace)
    await runner.setup()
    try:
        await web.TCPSite(runner, arguments.host, arguments.port).start()
        address: Any = runner.addresses[0]
        logger.info("ready http://%s:%d", *address[:2])
        await stop.wait()
        logger.info("stopping")
    finally:
        await runner.cleanup()


def main() -> None:
    """Run the command line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    asyncio.run(serve(parse_arguments(sys.argv[1:])))


if __name__ == "__main__":
    main()
