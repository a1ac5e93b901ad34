"""Times as people say them."""

from datetime import UTC, datetime, timedelta

import pytest

from darkroom_cli.errors import UsageError
from darkroom_cli.moments import read_moment

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("30m", NOW - timedelta(minutes=30)),
        ("2h", NOW - timedelta(hours=2)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-01-31T12:00Z", NOW),
        ("2026-01-31", datetime(2026, 1, 31).astimezone()),
        (None, None),
    ],
)
def test_times_are_read(text: str | None, moment: datetime | None) -> None:
    assert read_moment(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01", "-1h", "5 fortnights"])
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="is no time"):
        read_moment(text, NOW)
