"""Cursors and names: what is handed out comes back, and nothing else is taken."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.listings import Page, Position
from darkroom.tasks import Task
from darkroom.ulids import is_ulid, make_ulid

ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", fullmatch=True)
times = st.datetimes(datetime(2000, 1, 1), datetime(2999, 12, 31)).map(lambda time: time.replace(tzinfo=UTC))  # noqa: DTZ001


@given(times, ids)
def test_a_cursor_leads_back_to_its_position(time: datetime, id_: str) -> None:
    position = Position(f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z", id_)

    assert Position.from_cursor(position.to_cursor()) == position


@given(st.text())
def test_any_other_text_is_no_cursor(text: str) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        Position.from_cursor(text)


def test_the_text_of_a_position_sorts_as_time_does(make_task: Callable[..., Task], start: datetime) -> None:
    tasks = [make_task(id=id_, created_at=start + timedelta(milliseconds=n)) for n, id_ in enumerate("zyx")]

    assert sorted(tasks, key=lambda task: str(Position.of(task))) == tasks


def test_the_last_page_has_no_cursor(make_task: Callable[..., Task]) -> None:
    task = make_task()

    assert Page((task,), more=False).cursor is None
    assert Page((task,), more=True).cursor == Position.of(task).to_cursor()


@given(times)
def test_a_ulid_is_one_and_begins_with_its_time(time: datetime) -> None:
    ulid = make_ulid(time)

    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    milliseconds = 0
    for character in ulid[:10]:
        milliseconds = milliseconds * 32 + alphabet.index(character)
    assert is_ulid(ulid)
    assert milliseconds == int(time.timestamp() * 1000)
    assert not is_ulid(ulid.lower()[:-1] + "u")
