"""`darkroom image-cache build`."""

from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from darkroom_cli.access import AwsAccess
from darkroom_cli.commands.registration import command
from darkroom_cli.commands.sessions import Session

app = typer.Typer(no_args_is_help=True, help="Snapshots from which nodes start with the images.")


@dataclass(frozen=True)
class Place:
    """Where it happens."""

    stack: Annotated[str, typer.Option("--stack", metavar="NAME", help="The stack of sam/operations.yaml.")] = (
        "sdoneksStack-operations"
    )
    region: Annotated[str | None, typer.Option("--region", "-R", help="Its region; else your AWS profile's.")] = (
        None
    )
    subnet: Annotated[str | None, typer.Option(help="A subnet with a way to the registries; else the stack's.")] = (
        None
    )

    def aws(self) -> AwsAccess:
        """The account and region."""
        return AwsAccess(self.stack, {"region_name": self.region} if self.region else {})


@command(
    app,
    "build",
    examples=(
        "darkroom image-cache build 123456789012.dkr.ecr.us-east-1.amazonaws.com/sd-on-eks/sdwebui:latest",
        "darkroom image-cache build public.ecr.aws/me/comfyui:1 public.ecr.aws/me/agent:1 --size 100 --no-wait",
    ),
)
def build(
    session: Session,
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Images, with their tags.")],
    *,
    place: Place,
    size: Annotated[int | None, typer.Option(min=8, metavar="GIB", help="The volume's size.")] = None,
    architecture: Annotated[
        Literal["x86_64", "arm64"] | None, typer.Option(help="Of the images; else the stack's.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Make one though there is one: a tag may have moved since.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Wait for it, about 15 minutes.")] = True,
) -> None:
    """Put images into a snapshot. Its id goes into `karpenter.nodeTemplate.dataVolume.snapshotID`.

    Where there is a snapshot that was made for the same images and size, that is taken.
    """
    from darkroom_cli.image_caches import CacheRequest, ImageCaches

    caches = ImageCaches(place.aws())
    request = CacheRequest(
        [name for given in images for name in given.split(",")], size, place.subnet, architecture
    )
    if not again and (found := caches.find(request)):
        session.say("there already")
        if session.json:
            session.give_json({"snapshot_id": found, "images": list(request.images)})
        else:
            session.give_lines([found])
        return
    execution = caches.start(request)
    session.say(f"being made: {execution}")
    if not wait:
        if session.json:
            session.give_json({"execution": execution})
        return
    made = caches.wait(execution, 6 * 3600)
    if session.json:
        session.give_json(made)
    else:
        session.give_lines([str(made["snapshot_id"])])
        if "instance_left_running" in made:
            session.say(f"[yellow]Its instance could not be ended; please do:[/] {made['instance_left_running']}")
