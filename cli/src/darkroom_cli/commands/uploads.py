"""`darkroom upload`."""

from pathlib import Path
from typing import Annotated

import typer

from darkroom_cli.commands.progress import upload_bar
from darkroom_cli.commands.registration import command
from darkroom_cli.commands.sessions import Session

_EXAMPLES = (
    "darkroom upload cat.png",
    'darkroom run --set "1.inputs.image=$(darkroom upload cat.png)" --content workflow.json',
)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, examples=_EXAMPLES)(upload)


def upload(
    session: Session,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="What to upload.", exists=True, dir_okay=False)
    ],
) -> None:
    """Upload files, and print the s3:// links that contents can name them by."""
    links: dict[str, str] = {}
    with session.client() as client:
        for file in files:
            with upload_bar(session, file) as bar:
                links[str(file)] = client.upload(file, bar)
    if session.json:
        session.give_json(links)
    else:
        session.give_lines(list(links.values()))
