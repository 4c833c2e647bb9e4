"""The version command: print the version."""

import typer

from llmcli import __version__
from llmcli.cli.typer_ext import QuickCommand, console_of, new_group

app = new_group("Print the version.")


@app.command(cls=QuickCommand)
def version(ctx: typer.Context) -> None:
    """Print the version."""
    console_of(ctx).stdout.write(f"llmcli {__version__}\n")
