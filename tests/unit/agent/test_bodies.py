"""Request bodies."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom_agent.runtimes import bodies
from darkroom_agent.runtimes.bodies import Base64, JsonBody

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "LARGE", 7)


def read(value: object) -> Any:
    """What a server reads of a body, which is as long as it says."""
    body = JsonBody(value)
    data = b"".join(body.chunks())
    assert len(data) == body.size
    return json.loads(data)


@given(json_values)
@settings(deadline=None)
def test_a_body_reads_as_what_was_written(value: object) -> None:
    assert value == read(value)


def test_large_texts_stand_in_their_places() -> None:
    value = {"a": ["A" * 20, "short"], "b": {"c": "B" * 7}, "d": 'C" C' * 20}
    assert value == read(value)


@given(st.binary(max_size=50))
@settings(deadline=None)
def test_files_become_base64(data: bytes) -> None:
    assert {"a": [base64.b64encode(data).decode(), 1]} == read({"a": [Base64(data), 1]})


def test_files_are_encoded_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "_STEP", 6)
    data = bytes(range(100))
    assert base64.b64encode(data).decode() == read(Base64(bytearray(data)))
    assert 17 <= len(list(JsonBody(Base64(data)).chunks()))
