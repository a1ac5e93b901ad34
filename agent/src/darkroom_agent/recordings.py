"""Whether the file of a video or a sound is whole, told by walking through its headers.

MP4 and its kin, and WAV, say how long they are. The others (WebM, MP3, Ogg …) may end anywhere.
"""

import struct

from darkroom_agent.pictures import PictureError

_HEADER, _LONG_HEADER = 8, 16
_LONG = 1  # the length follows in 64 bits (ISO 14496-12, 4.2)
_OPEN = 0xFFFF_FFFF  # as who writes to a pipe says that he does not know the length


def check_recording(data: bytes | bytearray) -> None:
    """Look whether a video or a sound is whole, as far as its kind lets that be told.

    Raises:
        PictureError: it is not.
    """
    if data[4:8] == b"ftyp":
        whole = _is_whole_mp4(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        (length,) = struct.unpack_from("<I", data, 4)
        whole = length == _OPEN or len(data) >= _HEADER + length
    else:
        return
    if not whole:
        raise PictureError("is cut off")


def _is_whole_mp4(data: bytes | bytearray) -> bool:
    """Whether the last of the file's boxes ends within it."""
    position = 0
    while position + _HEADER <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        if length == _LONG:
            if position + _LONG_HEADER > len(data):
                return False
            (length,) = struct.unpack_from(">Q", data, position + _HEADER)
        if length < _HEADER:  # 0: it goes on to the end; others are no box but something behind the last
            return True
        position += length
    return position <= len(data)
