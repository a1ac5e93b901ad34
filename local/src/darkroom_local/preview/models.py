"""The checkpoints that the preview pretends to have."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any

DEFAULT_MODELS = ("v1-5-pruned-emaonly.safetensors", "sd_xl_base_1.0.safetensors")
FOLDER = PurePosixPath("/stable-diffusion-webui/models/Stable-diffusion")


@dataclass
class Checkpoint:
    """One model file, named relative to the models' folder.

    `digest` (SHA-256, hexadecimal) is None until the first load, which hashes the file and thereby changes the
    title. There is no file here: the digest is that of the name.
    """

    name: str
    digest: str | None = None

    @property
    def short_hash(self) -> str | None:
        """The first ten digits of the digest."""
        return self.digest and self.digest[:10]

    @property
    def title(self) -> str:
        """The name, followed by the short hash once that is known."""
        return f"{self.name} [{self.short_hash}]" if self.digest else self.name

    @property
    def model_name(self) -> str:
        """The name without suffix, folders joined by underscores; it never changes."""
        return str(PurePosixPath(self.name).with_suffix("")).replace("/", "_")

    @property
    def short_name(self) -> str:
        """What `info.sd_model_name` of an answer holds: the file's name without folder and suffix."""
        return PurePosixPath(self.name).stem

    @property
    def aliases(self) -> set[str]:
        """Every exact text that names this checkpoint in options and overrides."""
        names = {self.name, self.title, self.model_name, self.short_name}
        if self.digest and self.short_hash:
            names |= {self.digest, self.short_hash, f"{self.short_name} [{self.short_hash}]"}
        return names

    def hash_file(self) -> None:
        """Compute the digest, as the first load does."""
        self.digest = sha256(f"preview of {self.name}".encode()).hexdigest()

    def describe(self) -> dict[str, Any]:
        """One entry of `/sdapi/v1/sd-models`."""
        return {
            "title": self.title,
            "model_name": self.model_name,
            "hash": self.short_hash,
            "sha256": self.digest,
            "filename": str(FOLDER / self.name),
            "config": None,
        }


class Checkpoints:
    """The checkpoints on disk; the first is the fallback when a name fits none."""

    def __init__(self, names: Iterable[str] = DEFAULT_MODELS) -> None:
        self._all = tuple(Checkpoint(name) for name in names)

    def find(self, name: object) -> Checkpoint | None:
        """The checkpoint of exactly this title, name or hash, else None."""
        return next((checkpoint for checkpoint in self._all if name in checkpoint.aliases), None)

    def select(self, name: object) -> Checkpoint:
        """The checkpoint of this name, else the first: so does the WebUI with an option that fits no file."""
        return self.find(name) or self._all[0]

    def describe(self) -> list[dict[str, Any]]:
        """The answer of `/sdapi/v1/sd-models`."""
        return [checkpoint.describe() for checkpoint in self._all]
