"""Bodies are read strictly: what two readers could take for different things is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.bodies import MAX_DEPTH, read_object
from darkroom.errors import MalformedBodyError

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff"))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=15,
)


@given(st.dictionaries(texts, values))
def test_every_decent_object_is_read_as_it_is(whole: dict[str, object]) -> None:
    assert read_object(json.dumps(whole).encode()) == whole
    assert read_object(json.dumps(whole, ensure_ascii=False).encode()) == whole


@given(st.binary())
def test_any_other_bytes_are_refused_as_such(body: bytes) -> None:
    try:
        whole = read_object(body)
    except MalformedBodyError:
        return
    assert isinstance(whole, dict)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"a": {"b": 1, "b": 1}}', id="a name that comes twice, deep down"),
        pytest.param(b'{"a": 9223372036854775808}', id="one more than 64 bits"),
        pytest.param(b'{"a": -9223372036854775809}', id="one less"),
        pytest.param(b'{"a": 1e999}', id="more than all numbers"),
        pytest.param(b'{"a": NaN}', id="NaN"),
        pytest.param(b'{"\\udfff": 1}', id="half a character in a name"),
        pytest.param('{"a": "\uffff"}'.encode(), id="a character that SQS refuses"),
        pytest.param('{"a": 1}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'{"a": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", id="one level too deep"),
    ],
)
def test_what_readers_differ_about_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedBodyError) as caught:
        read_object(body)

    assert [fault.field for fault in caught.value.fields] == ["body"]


def test_the_limits_themselves_are_taken() -> None:
    assert read_object(b'{"a": 9223372036854775807, "b": -9223372036854775808}')
    assert read_object(b'{"a": ' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}")
