"""The snapshot of container images, made by the state machine `build_image_cache`."""

import json
from collections.abc import Iterator

from darkroom_cli.deploy.commands import Step, aws, command, variable
from darkroom_cli.deploy.images import cache_name

_WAIT = (
    'while s=$(aws stepfunctions describe-execution --region "$1" --execution-arn "$0"'
    ' --query "[status,error,cause]" --output text) && [[ $s == RUNNING* ]]; do sleep 15; done;'
    ' echo "$s"; [[ $s == SUCCEEDED* ]]'
)


def snapshot_steps(region: str, images: list[str], size: int) -> Iterator[Step]:
    """Finds a snapshot of the images, and makes one where there is none. `size` is in GiB."""
    name = cache_name(images, size)
    find = aws(
        region,
        *("ec2", "describe-snapshots", "--owner-ids", "self"),
        *("--filters", f"Name=tag:darkroom:execution,Values={name}-*", "Name=status,Values=completed"),
        *("--query", "Snapshots[0].SnapshotId", "--output", "text"),
        into="SNAPSHOT",
    )
    yield Step("Look for a snapshot of the images", (find,))
    there = command("test", variable("SNAPSHOT"), "!=", "None")
    work = json.dumps({"images": images, "size_gib": size}).replace("\\u0000", "\0")  # the marks of variables
    yield Step(
        "Make a snapshot of the images",
        (
            command("date", "+%s", into="NOW"),
            aws(
                region,
                *("stepfunctions", "start-execution", "--state-machine-arn", variable("BUILD_IMAGE_CACHE")),
                *("--name", f"{name}-{variable('NOW')}", "--input", work),
                *("--query", "executionArn", "--output", "text"),
                into="EXECUTION",
            ),
            command("bash", "-c", _WAIT, variable("EXECUTION"), region),
            find,
            there,
        ),
        unless=there,
        note="About 15 minutes. It holds " + ", ".join(images) + ".",
    )
