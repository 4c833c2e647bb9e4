"""The help command: the help of llmcli, or of one of its commands."""

from typing import Annotated, Any

import typer

from llmcli.cli.typer_ext import QuickCommand, console_of, new_group
from llmcli.errors import UserError
from llmcli.spelling import did_you_mean

app = new_group("Show the help of a command.")


@app.command(cls=QuickCommand)
def help(  # noqa: A001 - named like its command
    ctx: typer.Context,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[COMMAND]", help="The command, as `config show`.")
    ] = None,
) -> None:
    """Show the help of a command."""
    context: Any = ctx.parent
    for word in command or ():
        group = context.command
        found = group.get_command(context, word) if hasattr(group, "get_command") else None
        if found is None:
            names = group.list_commands(context) if hasattr(group, "list_commands") else []
            hint = did_you_mean(word, names) or "llmcli --help lists the commands"
            raise UserError(f"there is no command {word}", hint=hint)
        context = type(ctx)(found, info_name=word, parent=context)
    console_of(ctx).stdout.steer(f"{context.get_help()}\n")  # escape sequences in it are ours
