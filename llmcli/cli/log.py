"""The log command: list, show, search, rename, delete, export and import saved conversations."""

from typing import Annotated, Any

import typer

from llmcli.cli.completion import complete_conversation
from llmcli.cli.typer_ext import QuickCommand, QuickGroup, console_of, new_group

app = new_group("Saved conversations: list, show, search, delete, export.", no_args_is_help=False)


class _ListByDefault(QuickGroup):
    """A group whose `list` needs no name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `list` in front of options, and where nothing is given."""
        bare = not args or (args[0].startswith("-") and args[0] not in ("--help", "-h"))
        return super().parse_args(ctx, ["list", *args] if bare and not ctx.resilient_parsing else args)


app.info.cls = _ListByDefault

_Which = Annotated[
    str,
    typer.Argument(
        metavar="NAME_OR_ID",
        help="A name, the first digits of an ID, last, last~1.",
        autocompletion=complete_conversation,
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Limit = Annotated[int, typer.Option("--limit", metavar="NUMBER", help="Most rows.", min=1)]
_Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("list", cls=QuickCommand)
def list_(ctx: typer.Context, limit: _Limit = 20, json: _Json = False) -> None:
    """The latest conversations."""
    from llmcli.cli.log_actions import list_conversations

    list_conversations(console_of(ctx), limit, json)


@app.command("show", cls=QuickCommand)
def show(
    ctx: typer.Context,
    which: _Which = "last",
    format: Annotated[str, typer.Option("--format", metavar="FORMAT", help="markdown, json or text.")] = "markdown",  # noqa: A002
    extract: Annotated[
        bool, typer.Option("--extract", "-x", help="Print only the first fenced code block of the last reply.")
    ] = False,
) -> None:
    """Show a conversation; without a name the last one."""
    from llmcli.cli.log_actions import show_conversation

    show_conversation(console_of(ctx), which, format, extract)


@app.command("search", cls=QuickCommand)
def search(
    ctx: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="WORD...", help="Words that a message has, in any order.")],
    limit: _Limit = 20,
    json: _Json = False,
) -> None:
    """Search prompts and replies; every word must be in one message."""
    from llmcli.cli.log_actions import search_conversations

    search_conversations(console_of(ctx), words, limit, json)


@app.command("rename", cls=QuickCommand)
def rename(ctx: typer.Context, which: _Which, name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Give a conversation a name."""
    from llmcli.cli.log_actions import rename_conversation

    rename_conversation(console_of(ctx), which, name)


@app.command("rm", cls=QuickCommand)
def rm(
    ctx: typer.Context,
    which: Annotated[list[str], typer.Argument(metavar="NAME_OR_ID...", autocompletion=complete_conversation)],
    yes: _Yes = False,
) -> None:
    """Delete conversations, and their text in all files of the data folder."""
    from llmcli.cli.log_actions import remove_conversations

    remove_conversations(console_of(ctx), which, yes)


@app.command("prune", cls=QuickCommand)
def prune(
    ctx: typer.Context,
    older_than: Annotated[str, typer.Option("--older-than", metavar="AGE", help="Age: 12h, 30d, 4w, 6m or 1y.")],
    yes: _Yes = False,
) -> None:
    """Delete all conversations whose last turn is older than an age."""
    from llmcli.cli.log_actions import prune_conversations

    prune_conversations(console_of(ctx), older_than, yes)


@app.command("export", cls=QuickCommand)
def export(
    ctx: typer.Context,
    which: Annotated[
        str | None,
        typer.Argument(metavar="NAME_OR_ID", help="Default: all.", autocompletion=complete_conversation),
    ] = None,
    format: Annotated[str, typer.Option("--format", metavar="FORMAT", help="json, jsonl, markdown or html.")] = "json",  # noqa: A002
) -> None:
    """Print a conversation, or all, for another program."""
    from llmcli.cli.log_actions import export_conversations

    export_conversations(console_of(ctx), which, format)


@app.command("import", cls=QuickCommand)
def import_(
    ctx: typer.Context,
    path: Annotated[
        str | None, typer.Argument(metavar="FILE", help="An export, or a history of PydanticAI; - is stdin.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--from", metavar="llm", help="Read the database of another tool: llm.")
    ] = None,
) -> None:
    """Add conversations from a file; those that are there already are left out."""
    from llmcli.cli.log_actions import import_conversations

    import_conversations(console_of(ctx), path, source)


@app.command("path", cls=QuickCommand)
def path(ctx: typer.Context) -> None:
    """Where the database is, or would be."""
    from llmcli.store.database import path as database_path

    console_of(ctx).stdout.write(f"{database_path()}\n")
