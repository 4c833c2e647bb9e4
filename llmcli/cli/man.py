"""The man command: print the man page."""

import typer

from llmcli.cli.typer_ext import QuickCommand, console_of, new_group

app = new_group("Print the man page.")


@app.command(cls=QuickCommand)
def man(ctx: typer.Context) -> None:
    """Print the man page, as roff."""
    from llmcli.cli.app import command_rows
    from llmcli.cli.man_page import man_page

    console_of(ctx).stdout.write(man_page(command_rows()))
