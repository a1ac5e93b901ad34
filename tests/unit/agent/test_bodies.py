"""Request bodies."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom_agent.runtimes import bodies
from darkroom_agent.runtimes.bodies import json_file

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "LARGE", 7)


@given(json_values)
def test_a_body_reads_as_what_was_written(value: object) -> None:
    assert value == json.load(json_file(value))


def test_large_texts_stand_in_their_places() -> None:
    value = {"a": ["A" * 20, "short"], "b": {"c": "B" * 7}, "d": 'C" C' * 20}
    assert value == json.load(json_file(value))
