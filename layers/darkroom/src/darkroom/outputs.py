"""What a caller may ask for about the files that a task makes."""

from typing import Annotated, Literal

from pydantic import Field

from darkroom.models import Model


class OutputOptions(Model):
    """How images are written. Without a `format` they stay as the runtime made them.

    `quality` (1 to 100) is for JPEG and WebP: 90 where it is not given; where it is, images that have the format
    already are written anew, too. `strip_metadata` removes the prompt and the settings that runtimes write into
    their images.
    """

    format: Literal["png", "jpeg", "webp"] | None = None
    quality: Annotated[int, Field(ge=1, le=100)] | None = None
    strip_metadata: bool = False
