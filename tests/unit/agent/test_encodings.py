"""Base64 of whole files."""

import base64
import binascii

import pytest

from darkroom_agent.encodings import decode

FILE = bytes(range(256)) * 20
TEXT = base64.b64encode(FILE).decode()


@pytest.mark.parametrize(
    "text",
    [TEXT, f"data:image/png;base64,{TEXT}", f" DATA:,{TEXT}", base64.encodebytes(FILE).decode()],
    ids=["bare", "data URI", "data URI, spelt otherwise", "in lines"],
)
@pytest.mark.parametrize("strict", [True, False])
def test_a_file_is_read_from_base64_as_people_write_it(text: str, *, strict: bool) -> None:
    assert FILE == decode(text, strict=strict)


def test_what_is_no_base64_is_skipped() -> None:
    assert FILE == decode(TEXT[:8] + "*" + TEXT[8:])


@pytest.mark.parametrize("text", [TEXT[:8] + "*" + TEXT[8:], TEXT[:-2], "not base64"])
def test_what_is_no_base64_is_refused_where_it_must_be_right(text: str) -> None:
    with pytest.raises(binascii.Error):
        decode(text, strict=True)
