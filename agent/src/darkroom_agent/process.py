"""The queue agent as a process: signals, exit codes, last words."""

import asyncio
import signal
import sys

from darkroom.settings import SettingsError
from darkroom_agent import logs
from darkroom_agent.agents import Agent
from darkroom_agent.logs import EventLog
from darkroom_agent.readiness import RuntimeNotReadyError
from darkroom_agent.runtimes import UnknownRuntimeTypeError
from darkroom_agent.settings import AgentSettings

log = EventLog("darkroom_agent")


def run() -> int:
    """Run until a signal; 0 after a drain, 1 after a fault, 2 where the environment is wrong."""
    try:
        settings = AgentSettings.from_environment()
    except SettingsError as error:
        sys.stderr.write(f"darkroom-agent: the environment is wrong: {error}\n")
        return 2
    logs.configure(settings.log_format)
    try:
        asyncio.run(_run(settings))
    except UnknownRuntimeTypeError as error:
        sys.stderr.write(f"darkroom-agent: {error}\n")
        return 2
    except RuntimeNotReadyError as error:
        log.critical("runtime_not_ready", error=str(error))
        return 1
    except Exception:
        log.exception("agent_died")
        return 1
    log.info("agent_ended")
    return 0


async def _run(settings: AgentSettings) -> None:
    agent = Agent(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.drain.begin)
    await agent.run()
