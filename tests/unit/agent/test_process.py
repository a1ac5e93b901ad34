"""The agent as a process."""

import subprocess
import sys

ENDS_WHILE_IT_LOADS = """
import os, signal, sys, types
loading = types.ModuleType("darkroom_agent.process")
loading.__getattr__ = lambda name: os.kill(os.getpid(), signal.SIGTERM)  # asked for `run`, once it is loaded
sys.modules["darkroom_agent.process"] = loading
from darkroom_agent.__main__ import main
sys.exit(main() or 3)
"""


def test_an_agent_that_is_told_to_end_while_it_loads_ends() -> None:
    # the first process of a container would not even hear of it
    done = subprocess.run([sys.executable, "-c", ENDS_WHILE_IT_LOADS], check=False)  # noqa: S603  ours
    assert 0 == done.returncode


def test_the_signal_is_heeded_before_anything_large_is_loaded() -> None:
    large = "[m for m in ('asyncio', 'boto3', 'pydantic') if m in sys.modules]"
    look = f"import sys, darkroom_agent.__main__; print({large})"
    found = subprocess.run([sys.executable, "-c", look], capture_output=True, check=True, text=True)  # noqa: S603  ours
    assert "[]" == found.stdout.strip()
