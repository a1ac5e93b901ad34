"""Images as they travel: base64, with or without a `data:` prefix."""

import base64
from io import BytesIO

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from darkroom_local.preview.errors import RefusedError

# zlib's fastest level: the preview's time goes to waiting for steps, not to squeezing files
PNG_COMPRESSION = 1


def decode_image(text: str) -> Image.Image:
    """Decode base64 or a data URI, wholly (a cut-off file fails here, not later).

    Raises:
        RefusedError: 500 for anything that is no image, and for links. The real server downloads from public
            hosts, but refuses URLs with a port or of a private host; the preview fetches nothing, so it refuses
            all of them alike.
    """
    if text.startswith(("http://", "https://")):
        raise RefusedError(500, "Request to local resource not allowed")
    if text.startswith("data:image/"):
        text = text.partition(",")[2]
    try:
        image = Image.open(BytesIO(base64.b64decode(text)))
        image.load()
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise RefusedError(500, "Invalid encoded image") from error
    return image


def encode_image(image: Image.Image, samples_format: str = "png", quality: int = 80) -> str:
    """Encode as base64 without prefix; every text in `image.info` becomes a PNG text chunk.

    `samples_format` is the WebUI's option: png, jpg, jpeg or webp; `quality` holds for the last three.

    Raises:
        RefusedError: 500 for any other format.
    """
    buffer = BytesIO()
    match samples_format.lower():
        case "png":
            image.save(buffer, "PNG", pnginfo=_text_chunks(image), compress_level=PNG_COMPRESSION)
        case "jpg" | "jpeg":
            image.convert("RGB").save(buffer, "JPEG", quality=quality)
        case "webp":
            image.convert("RGB").save(buffer, "WEBP", quality=quality)
        case _:
            raise RefusedError(500, "Invalid image format")
    return base64.b64encode(buffer.getbuffer()).decode("ascii")


def read_texts(image: Image.Image) -> dict[str, str]:
    """The texts that the file carried, by their keys (`parameters`, `postprocessing` …)."""
    return {key: value for key, value in image.info.items() if isinstance(key, str) and isinstance(value, str)}


def _text_chunks(image: Image.Image) -> PngInfo:
    chunks = PngInfo()
    for key, value in read_texts(image).items():
        chunks.add_text(key, value)
    return chunks
