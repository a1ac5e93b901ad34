"""`darkroom-agent`: the queue agent."""

import signal
import sys


def main() -> int:
    """Run until a signal; 0 after a drain, 1 after a fault, 2 where the environment is wrong."""
    # loading takes a while, and the first process of a container has no signal for which nobody asked
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    from darkroom_agent.process import run  # noqa: PLC0415

    return run()


if __name__ == "__main__":
    sys.exit(main())
