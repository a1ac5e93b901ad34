"""Images inside a terminal, where it can show them: kitty's graphics protocol, and iTerm2's.

Sources: https://sw.kovidgoyal.net/kitty/graphics-protocol/ and https://iterm2.com/documentation-images.html.
"""

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import ControlType, Segment

from darkroom_cli.settings import Terminal

ROWS = 12
"""How high an image is shown, in lines of text."""

_PNG = b"\x89PNG\r\n\x1a\n"
_MOVING = 20533  # the number of the image that moves; images are counted for the whole terminal
KITTY_REMOVE = f"\x1b_Ga=d,d=I,i={_MOVING},q=2\x1b\\"
"""The sequence that takes the moving image away: text that is erased does not take it along."""

KITTY_AGAIN = f"\x1b_Ga=p,i={_MOVING},p=1,r={ROWS},C=1,q=2\x1b\\"
"""The sequence that shows the moving image where the cursor is."""

_CHUNK = 4096  # the most that kitty takes at once


class Protocol(Enum):
    """How a terminal takes images."""

    KITTY = auto()
    ITERM = auto()


def find_protocol(terminal: Terminal, *, is_terminal: bool) -> Protocol | None:
    """How this terminal takes images, or None where it does not; multiplexers pass neither protocol on."""
    if not is_terminal or terminal.in_multiplexer:
        return None
    if terminal.in_kitty or terminal.kind in {"xterm-kitty", "xterm-ghostty"} or terminal.program == "ghostty":
        return Protocol.KITTY
    if terminal.program in {"iTerm.app", "WezTerm", "mintty"}:
        return Protocol.ITERM
    return None


@dataclass
class Picture:
    """An image of `ROWS` lines, for rich. With `moving`, it takes the place of the one that was shown before.

    rich draws it many times. kitty keeps what it has got, so it gets a moving image's data only once.
    """

    data: bytes
    protocol: Protocol
    moving: bool = False
    _sent: bool = field(default=False, init=False)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self._escape()
        for _ in range(ROWS):
            yield Segment.line()

    def _escape(self) -> Iterable[Segment]:
        """The image as a control sequence, which takes no room and leaves the cursor where it was."""
        if self.protocol is Protocol.ITERM:
            code = iterm(self.data)
        elif self._sent and self.moving:
            code = KITTY_AGAIN
        else:
            code = kitty(self.data, moving=self.moving)
        self._sent = True
        yield Segment(code, None, [(ControlType.BELL,)])


def showable(data: bytes, protocol: Protocol | None) -> bool:
    """True where the terminal can show this image; kitty takes no other format than PNG."""
    return protocol is Protocol.ITERM or (protocol is Protocol.KITTY and data.startswith(_PNG))


def kitty(data: bytes, *, moving: bool = False) -> str:
    """The sequence that shows a PNG at the cursor and leaves the cursor there."""
    text = b64encode(data).decode()
    pieces = [text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK)]
    keys = f"a=T,f=100,{f'i={_MOVING},p=1,' if moving else ''}r={ROWS},C=1,q=2"
    codes = []
    for number, piece in enumerate(pieces):
        more = int(number < len(pieces) - 1)
        codes.append(f"\x1b_G{f'{keys},' if number == 0 else ''}m={more};{piece}\x1b\\")
    return "".join(codes)


def iterm(data: bytes) -> str:
    """The sequence that shows an image at the cursor and puts the cursor back."""
    keys = f"inline=1;size={len(data)};height={ROWS};preserveAspectRatio=1;doNotMoveCursor=1"
    return f"\x1b7\x1b]1337;File={keys}:{b64encode(data).decode()}\x07\x1b8"
