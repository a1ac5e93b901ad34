"""The snapshot of container images that new nodes start with."""

from darkroom_cli.deploy.commands import Step, command
from darkroom_cli.deploy.names import Names


def snapshot_step(names: Names, images: list[str], size: int) -> Step:
    """Finds a snapshot of the images, or makes one. `size` is in GiB."""
    build = command(
        *("darkroom", "image-cache", "build", *images, "--size", str(size)),
        *("--stack", names.operations_stack, "--region", names.region),
        into="SNAPSHOT",
    )
    note = "About 15 minutes the first time; then the snapshot that is there is taken."
    return Step("Make a snapshot of the images", (build,), note=note)
