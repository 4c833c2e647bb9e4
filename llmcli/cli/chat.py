"""The chat command: the interactive session."""

import typer

from llmcli.cli.completion import COMPLETIONS
from llmcli.cli.typer_ext import QuickCommand, console_of, new_group, settings_signature

app = new_group("Hold an interactive session.")


def chat(ctx: typer.Context, **options: object) -> None:
    """Hold an interactive session."""
    from llmcli.repl.loop import chat as run

    raise typer.Exit(run(options, console_of(ctx)))


vars(chat)["__signature__"] = settings_signature(lambda meta: meta.chat, COMPLETIONS)
app.command(cls=QuickCommand)(chat)
