"""The `darkroom` command."""

import typer

from darkroom import __version__
from darkroom_local import cli as local

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="Darkroom: asynchronous image generation on AWS.",
)
app.add_typer(local.app, name="local")
app.command("demo")(local.demo)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)
