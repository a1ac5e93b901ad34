"""Models into the bucket, in the guide's folders."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from darkroom_cli.errors import UsageError

FOLDERS = (
    "CLIP", "Codeformer", "ControlNet", "ESRGAN", "GFPGAN", "LDSR", "Lora", "RealESRGAN", "ScuNET",
    "Stable-diffusion", "SwinIR", "VAE", "VAE-approx", "embeddings", "hypernetworks",
)  # fmt: skip
"""The bucket's folders, by the guide."""

MODELS = (".safetensors", ".ckpt")
"""What checkpoints may be, by the guide."""

OTHERS = (*MODELS, ".pt", ".pth", ".bin")
"""What the other folders' models are too."""


def model_key(path: Path, folder: str) -> str:
    """Where a model goes in the bucket. A file without suffix, as Civitai gives them, becomes a `.ckpt`.

    Raises:
        UsageError: the folder is none of the guide's, or the file is no model.
    """
    if folder not in FOLDERS:
        close = {name.lower(): name for name in FOLDERS}.get(folder.lower())
        hint = f"Did you mean {close}?" if close else f"There are {', '.join(FOLDERS)}."
        raise UsageError(f"There is no folder {folder}.", hint=hint)
    name = path.name if path.suffix else f"{path.name}.ckpt"
    known = MODELS if folder == "Stable-diffusion" else OTHERS
    if Path(name).suffix.lower() not in known:
        raise UsageError(f"{path.name} is no model.", hint=f"In {folder} belong files of {', '.join(known)}.")
    return f"{folder}/{name}"


def upload(s3: Any, path: Path, bucket: str, key: str, moved: Callable[[int], None]) -> bool:  # noqa: ANN401  boto3
    """Upload a file unless the bucket has it, by its size. `moved` hears of the bytes.

    Returns:
        False where it was there.
    """
    size = path.stat().st_size
    try:
        there = s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == size
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"404", "NoSuchKey"}:
            raise
        there = False
    if there:
        return False
    s3.upload_file(str(path), bucket, key, Callback=moved)
    return True
