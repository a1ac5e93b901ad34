"""How many requests a caller may make."""

import time
from collections.abc import Callable


class TokenBucket:
    """The algorithm of API Gateway's usage plans: `burst` tokens at most, `rate` new ones a second, one a request.

    `clock` gives seconds and never goes back.
    """

    def __init__(self, rate: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._clock = clock
        self._tokens = self._burst
        self._filled = clock()

    def take(self) -> bool:
        """Take a token; False if there is none."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
