"""The server's files: inputs, outputs and previews, each kind in a folder of its own."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

KINDS = ("input", "output", "temp")


class OutsideError(Exception):
    """The path leads out of its folder."""


@dataclass(frozen=True)
class Folders:
    """The three folders under one root."""

    root: Path

    def make(self) -> None:
        """Create the folders."""
        for kind in KINDS:
            (self.root / kind).mkdir(parents=True, exist_ok=True)

    def folder(self, kind: str, subfolder: str = "") -> Path:
        """A subfolder of a kind.

        Raises:
            OutsideError: it lies elsewhere.
        """
        base = (self.root / kind).resolve()
        path = (base / subfolder).resolve()
        if not path.is_relative_to(base):
            raise OutsideError(subfolder)
        return path

    def find(self, name: str) -> Path | None:
        """The file of an annotated name (`a.png`, `sub/a.png [output]`), or None where there is none."""
        kind = next((kind for kind in KINDS if name.endswith(f"[{kind}]")), "input")
        bare = name.removesuffix(f"[{kind}]").rstrip()
        try:
            path = self.folder(kind, bare)
        except OutsideError:
            return None
        return path if path.is_file() else None

    def list_images(self) -> list[str]:
        """The names of the inputs that lie in no subfolder."""
        return sorted(path.name for path in (self.root / "input").iterdir() if path.is_file())

    def upload(self, name: str, subfolder: str, kind: str, data: bytes, *, overwrite: bool) -> str:
        """Store a file and return its name: another one where a different file has it already.

        Raises:
            OutsideError: it would lie elsewhere.
        """
        folder = self.folder(kind, subfolder)
        path = self.folder(kind, str(folder / name))
        folder.mkdir(parents=True, exist_ok=True)
        number = 0
        while not overwrite and path.exists() and path.read_bytes() != data:
            number += 1
            path = folder / f"{Path(name).stem} ({number}){Path(name).suffix}"
        path.write_bytes(data)
        return path.name

    def save(self, images: list[Image.Image], prefix: str, kind: str, graph: Any) -> list[dict[str, str]]:  # noqa: ANN401  JSON
        """Save images under `<prefix>_<number>_.png`, counted on from what is there, with the graph in each.

        Raises:
            OutsideError: the prefix leads out of the folder.
        """
        subfolder, _, stem = prefix.rpartition("/")
        try:
            folder = self.folder(kind, subfolder)
        except OutsideError as error:
            raise OutsideError("**** ERROR: Saving image outside the output folder is not allowed.") from error
        folder.mkdir(parents=True, exist_ok=True)
        first = 1 + max((_number(path.name, stem) for path in folder.iterdir()), default=0)
        saved = []
        for number, image in enumerate(images, first):
            name = f"{stem}_{number:05}_.png"
            texts = PngInfo()
            texts.add_text("prompt", json.dumps(graph))
            image.save(folder / name, pnginfo=texts, compress_level=1)
            saved.append({"filename": name, "subfolder": subfolder, "type": kind})
        return saved


def _number(name: str, stem: str) -> int:
    digits = name[len(stem) + 1 :].partition("_")[0]
    return int(digits) if name.startswith(f"{stem}_") and digits.isdecimal() else 0
