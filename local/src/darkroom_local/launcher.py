"""Runs a module in a process that cannot outlive the local cloud.

Run as `python -m darkroom_local.launcher PARENT_PID MODULE ARGUMENT…`. The kernel kills the process when its
parent dies (prctl(2), `PR_SET_PDEATHSIG`), however the parent dies. Where there is no prctl, a function ends as
soon as its handler returns, by the closed Runtime API. The module sees nothing of this: no thread, no pipe, no
variable.
"""

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent: int) -> None:
    """Have this process killed when `parent` (a process id) dies; exit now if it is dead already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the local cloud is gone")


def main() -> None:
    """Become `python -m MODULE ARGUMENT…`."""
    die_with_parent(int(sys.argv[1]))
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
