"""The `darkroom` command."""

import typer

from darkroom import __version__
from darkroom_cli.commands import (
    batches,
    config,
    deployment,
    events,
    image_caches,
    local,
    pipelines,
    runtimes,
    submit,
    tasks,
    uploads,
    verification,
    webhooks,
)
from darkroom_cli.commands.registration import command
from darkroom_cli.commands.sessions import Session
from darkroom_cli.costs import commands as costs
from darkroom_cli.planning import commands as planning

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Darkroom: asynchronous image generation on AWS.",
)

submit.add_to(app)
app.add_typer(tasks.app, name="tasks")
uploads.add_to(app)
app.add_typer(pipelines.app, name="pipelines")
app.add_typer(batches.app, name="batches")
app.add_typer(runtimes.app, name="runtimes")
app.add_typer(events.app, name="events")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(config.app, name="config")
local.add_to(app)
deployment.add_to(app, config.app)
verification.add_to(app)
app.add_typer(image_caches.app, name="image-cache")
planning.add_to(app)
costs.add_to(app)


@command(app)
def version(session: Session) -> None:
    """Print the version."""
    if session.json:
        session.give_json({"version": __version__})
    else:
        session.give_lines([__version__])


def main() -> None:
    """Run the command line."""
    app(prog_name="darkroom")
