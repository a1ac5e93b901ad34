"""Outputs as the task asked for them: in another format, without the texts that runtimes write into images.

A file that cannot be converted stays as it is, with a warning: the runtime's work is worth more than its form.
"""

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import filetype

from darkroom.outputs import OutputOptions
from darkroom_agent.metadata import UnstrippableError, strip
from darkroom_agent.pictures import MAX_PIXELS
from darkroom_agent.runtimes import Outputs

if TYPE_CHECKING:
    from PIL.Image import Image

_MIMES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
_USER_COMMENT, _EXIF_FOLDER = 0x9286, 0x8769
_UNICODE = b"UNICODE\0"
_HEAD = 8192
_QUALITY = 90
_LONGEST_JPEG_EXIF = 65_533  # two bytes tell its length, and count themselves (ITU T.81, B.2.4.6)
_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"})
_GREY_MODES = frozenset({"1", "L", "LA", "I", "I;16"})


class Conversions:
    """Converts outputs in one thread of its own, one image after the other: a decoded one takes much memory."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="pictures")

    async def convert(self, outputs: Outputs, options: OutputOptions | None) -> Outputs:
        """The outputs as they were asked for."""
        if options is None or not (options.format or options.strip_metadata):
            return outputs
        return await asyncio.get_running_loop().run_in_executor(self._pool, _convert_all, outputs, options)

    def close(self) -> None:
        """Take no more work."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _convert_all(outputs: Outputs, options: OutputOptions) -> Outputs:
    images = []
    warnings = list(outputs.warnings)
    for number, data in enumerate(outputs.images, 1):
        converted, faults = convert(data, options)
        images.append(converted)
        warnings += [f"output {number} {fault}" for fault in faults]
    return Outputs(tuple(images), outputs.answer, tuple(warnings))


def convert(data: bytes, options: OutputOptions) -> tuple[bytes, list[str]]:
    """One file as the options want it, and what could not be done."""
    faults = []
    found = filetype.guess(data[:_HEAD])
    mime = found.mime if found is not None else ""
    if options.format is not None and _needs_encoding(mime, options.format, options.quality):
        try:
            data, lost = _encode(data, options)
            mime = _MIMES[options.format]
            faults += lost
        except Exception as error:  # noqa: BLE001  a decoder meets any file, and raises anything
            faults.append(f"was not converted to {options.format}: {_reason(error, mime)}")
    if options.strip_metadata:
        try:
            data = strip(data, mime)
        except UnstrippableError:
            faults.append(f"was not freed of its metadata: it is {mime or 'of no known kind'}")
    return data, faults


def _needs_encoding(mime: str, format_: str, quality: int | None) -> bool:
    """Whether a file is not yet what was asked for: each encoding costs some of the image."""
    return mime != _MIMES[format_] or (format_ != "png" and quality is not None)


class _UnconvertibleError(Exception):
    """The message says why."""


def _reason(error: Exception, mime: str) -> str:
    return (
        str(error) if isinstance(error, _UnconvertibleError) else f"it cannot be read ({mime or 'no known kind'})"
    )


def _encode(data: bytes, options: OutputOptions) -> tuple[bytes, list[str]]:
    """The image in the format asked for, and what of it was lost."""
    from PIL import Image  # noqa: PLC0415  it is loaded by those who need it only

    Image.MAX_IMAGE_PIXELS = None  # the limit is ours, and checked before anything is decoded
    faults = []
    with Image.open(io.BytesIO(data)) as image:
        if getattr(image, "is_animated", False):
            raise _UnconvertibleError("it is animated")
        if image.width * image.height > MAX_PIXELS:
            raise _UnconvertibleError(f"it has more than {MAX_PIXELS} pixels")
        quality = options.quality or _QUALITY
        texts = {} if options.strip_metadata else _texts(image)
        out = io.BytesIO()
        match options.format:
            case "png":
                made = image if image.mode in _PNG_MODES else image.convert("RGB")
                made.save(out, "PNG", pnginfo=_chunks(texts), icc_profile=_profile(image, made))
            case "webp":
                made, exif = _coloured(image), _exif(image, texts)
                made.save(out, "WEBP", quality=quality, exif=exif, icc_profile=_profile(image, made))
            case _:
                made, exif = _flat(_coloured(image)), _exif(image, texts)
                if len(exif) > _LONGEST_JPEG_EXIF:
                    exif = b""
                    faults.append("lost its texts: they are too long for JPEG")
                made.save(out, "JPEG", quality=quality, exif=exif, icc_profile=_profile(image, made))
    return out.getvalue(), faults


def _coloured(image: "Image") -> "Image":
    """The image as RGB, or RGBA where it is transparent.

    Grey of 16 bits is brought to 8 first: Pillow makes everything above 255 white.
    """
    if image.mode.startswith("I"):
        wide = image if image.mode in _GREY_MODES else image.convert("I")
        image = wide.point(lambda value: value / 257 + 0.5).convert("L")
        image.info.pop("transparency", None)  # it names a grey of 16 bits
    wanted = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == wanted else image.convert(wanted)


def _flat(image: "Image") -> "Image":
    """The image on white where it is transparent: JPEG knows no transparency."""
    from PIL import Image  # noqa: PLC0415

    if image.mode != "RGBA":
        return image
    ground = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(ground, image).convert("RGB")


def _profile(image: "Image", made: "Image") -> bytes | None:
    """The image's colour profile, if it is one for the kind of colours that was made of it (ICC.1, 7.2.8)."""
    profile: bytes | None = image.info.get("icc_profile")
    space = b"GRAY" if made.mode in _GREY_MODES else b"RGB "
    return profile if profile and profile[16:20] == space else None


def _texts(image: "Image") -> dict[str, str]:
    """What a runtime wrote into the image, by key; SD WebUI's `parameters` stand in EXIF's user comment, too."""
    texts = {str(name): value for name, value in image.info.items() if isinstance(value, str)}
    comment = image.getexif().get_ifd(_EXIF_FOLDER).get(_USER_COMMENT)
    if isinstance(comment, bytes) and comment.startswith(_UNICODE):
        texts["parameters"] = comment.removeprefix(_UNICODE).decode("utf-16-be", "replace")
    return texts


def _chunks(texts: dict[str, str]) -> object:
    from PIL.PngImagePlugin import PngInfo  # noqa: PLC0415

    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    return info


def _exif(image: "Image", texts: dict[str, str]) -> bytes:
    """EXIF with the texts, written as SD WebUI writes them."""
    text = texts.get("parameters") or "\n".join(f"{name}: {value}" for name, value in texts.items())
    if not text:
        return b""
    exif = image.getexif()
    exif.get_ifd(_EXIF_FOLDER)[_USER_COMMENT] = _UNICODE + text.encode("utf-16-be")
    written: bytes = exif.tobytes()
    return written
