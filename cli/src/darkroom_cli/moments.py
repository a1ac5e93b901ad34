"""Times as people say them: `2h`, `7d`, `2026-01-31`, `2026-01-31T12:00`."""

import re
from datetime import datetime, timedelta

from darkroom_cli.errors import UsageError

_AGO = re.compile(r"(\d+)\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def read_moment(text: str | None, now: datetime) -> datetime | None:
    """A time: so long before `now`, or a date, with a time of day or without. Without a zone it is local.

    Raises:
        UsageError: it is none.
    """
    if text is None:
        return None
    if match := _AGO.fullmatch(text.strip()):
        return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
    try:
        return datetime.fromisoformat(text.strip()).astimezone()
    except ValueError:
        hint = "Say how long ago (30m, 2h, 7d), or when (2026-01-31, 2026-01-31T12:00)."
        raise UsageError(f"{text!r} is no time.", hint=hint) from None
