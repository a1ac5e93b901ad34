"""Background work that must go on: it is started again when it dies."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from darkroom_local.functions.invocations import Log


async def supervise(
    name: str, run: Callable[[], Awaitable[None]], *, log: Log, shortest: float = 0.1, longest: float = 5.0
) -> None:
    """Run `run` until it returns; when it raises, say so and run it again.

    The pause before a restart starts at `shortest` seconds and doubles up to `longest`; a run that lasted longer
    than `longest` starts it over.
    """
    pause = shortest
    while True:
        started = time.monotonic()
        try:
            await run()
        except Exception as error:  # noqa: BLE001 - whatever it was, the work must go on
            if time.monotonic() - started > longest:
                pause = shortest
            log(name, f"{_innermost(error)!r}; starting again in {pause:.1f} s")
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)
        else:
            return


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
