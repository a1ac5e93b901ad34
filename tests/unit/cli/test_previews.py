"""Images inside a terminal."""

import io
import re
from base64 import b64decode

import pytest
from rich.console import Console, Group

from darkroom_cli.previews import ROWS, Picture, Protocol, find_protocol, iterm, kitty, showable
from darkroom_cli.settings import Terminal

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1"}, Protocol.KITTY),
        ({"TERM_PROGRAM": "ghostty", "TERM": "xterm-ghostty"}, Protocol.KITTY),
        ({"TERM_PROGRAM": "iTerm.app", "TERM": "xterm-256color"}, Protocol.ITERM),
        ({"TERM_PROGRAM": "WezTerm"}, Protocol.ITERM),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM_PROGRAM": "iTerm.app", "TMUX": "socket,1,0"}, None),
        ({}, None),
    ],
)
def test_terminals_are_known_by_what_they_say(environment: dict[str, str], protocol: Protocol | None) -> None:
    terminal = Terminal.from_environment(environment)

    assert find_protocol(terminal, is_terminal=True) is protocol
    assert find_protocol(terminal, is_terminal=False) is None


def test_kitty_gets_a_png_in_chunks_that_make_it_up_again() -> None:
    codes = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", kitty(PNG))

    assert b64decode("".join(data for _, data in codes)) == PNG
    assert all(len(data) <= 4096 for _, data in codes)
    assert codes[0][0].startswith("a=T,f=100")
    assert [keys.rpartition("m=")[2] for keys, _ in codes] == ["1"] * (len(codes) - 1) + ["0"]


def test_iterm_gets_the_whole_file_and_the_cursor_comes_back() -> None:
    match = re.fullmatch(r"\x1b7\x1b\]1337;File=([^:]*):(.*)\x07\x1b8", iterm(b"jpeg"))

    assert match is not None
    assert b64decode(match[2]) == b"jpeg"
    assert "size=4" in match[1]


def test_kitty_is_shown_pngs_only() -> None:
    assert showable(PNG, Protocol.KITTY)
    assert not showable(b"\xff\xd8jpeg", Protocol.KITTY)
    assert showable(b"\xff\xd8jpeg", Protocol.ITERM)
    assert not showable(PNG, None)


def test_a_picture_takes_its_rows_and_no_more_and_reaches_the_terminal_unbroken() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=40)

    console.print(Group(Picture(PNG, Protocol.KITTY), "below"))

    text = out.getvalue()
    assert kitty(PNG) in text
    assert text.count("\n") == ROWS + 1


def test_a_preview_takes_the_place_of_the_one_before_and_other_images_stay() -> None:
    assert re.search(r"i=\d+,p=1,", kitty(PNG, moving=True))
    assert "i=" not in kitty(PNG).partition(";")[0]


def test_a_preview_that_is_drawn_again_is_not_sent_again_to_kitty() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=40)
    picture = Picture(PNG, Protocol.KITTY, moving=True)

    console.print(picture)
    console.print(picture)

    assert out.getvalue().count("a=T") == 1
    assert out.getvalue().count("a=p") == 1
