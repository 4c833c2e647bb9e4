"""The completion command: print the completion script of a shell."""

from typing import Annotated, Literal

import typer

from llmcli.cli.completion import script
from llmcli.cli.typer_ext import QuickCommand, console_of, new_group

app = new_group("Print the completion script of a shell.")


@app.command(cls=QuickCommand)
def completion(
    ctx: typer.Context,
    shell: Annotated[
        Literal["bash", "zsh", "fish", "powershell"],
        typer.Argument(metavar="SHELL", help="bash, zsh, fish or powershell."),
    ],
) -> None:
    """Print the completion script of a shell. For bash: eval "$(llmcli completion bash)"."""
    console_of(ctx).stdout.write(script(shell))
