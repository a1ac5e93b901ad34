"""The bucket of models, where none is given: with Stable Diffusion 1.5 in it."""

from collections.abc import Iterator

from darkroom_cli.deploy.commands import Step, aws, command
from darkroom_cli.deploy.config import DEFAULT_MODEL
from darkroom_cli.deploy.names import Names

MODEL_URL = (
    f"https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5/resolve/main/{DEFAULT_MODEL}?download=true"
)
"""Stable Diffusion 1.5, from the mirror of the withdrawn repository that the guide names."""


def bucket_steps(names: Names, bucket: str) -> Iterator[Step]:
    """Makes the bucket, if it is one of the deployment's own, and puts Stable Diffusion 1.5 into it."""
    region = names.region
    if not names.owns_bucket(bucket):
        return
    place = f"LocationConstraint={region}"
    block = "BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true"
    yield Step(
        f"Make the bucket of models, {bucket}",
        (
            aws(
                region,
                *("s3api", "create-bucket", "--bucket", bucket),
                *([] if region == "us-east-1" else ["--create-bucket-configuration", place]),
            ),
            aws(
                region,
                "s3api",
                "put-public-access-block",
                "--bucket",
                bucket,
                "--public-access-block-configuration",
                block,
            ),
        ),
        unless=aws(region, "s3api", "head-bucket", "--bucket", bucket),
    )
    if names.in_china:
        return  # Hugging Face cannot be reached: models are uploaded by hand
    key = f"Stable-diffusion/{DEFAULT_MODEL}"
    yield Step(
        "Put Stable Diffusion 1.5 into it",
        (
            command(
                *("bash", "-c"),
                'set -o pipefail; curl -fsSL "$0" | aws s3 cp - "$1" --region "$2"',
                *(MODEL_URL, f"s3://{bucket}/{key}", region),
            ),
        ),
        unless=aws(region, "s3api", "head-object", "--bucket", bucket, "--key", key),
        note="Four gigabytes, through this machine.",
    )
