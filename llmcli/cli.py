"""The command line: commands and their errors. What they do stands elsewhere."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from llmcli import __version__
from llmcli import options as opt
from llmcli.errors import LlmcliError, UserError

# Commands of later versions: a lone word like that is no prompt that somebody meant to pay for.
_RESERVED = ("chat", "models", "log", "keys", "usage")


class _AskByDefault(TyperGroup):
    """A group whose `ask` needs no name. Typer has no public way to say this: hence the pinned version."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `ask` in front, unless the first word is a command; one that is nearly a command is refused."""
        first = args[0] if args else ""
        if first in (*self.commands, "--help", "-h", "--version") or (ctx.resilient_parsing and not args):
            return super().parse_args(ctx, args)
        if first and not ctx.resilient_parsing and all(word.startswith("-") for word in args[1:]):
            _refuse_misspelt(first, self.commands)
        return super().parse_args(ctx, ["ask", *args])

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The usage line of --help."""
        return ["[OPTIONS] [PROMPT]...  |  COMMAND"]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The options of `ask` are those of the whole command."""
        params = [*self.commands["ask"].get_params(ctx)[:-1], *self.get_params(ctx)]
        with formatter.section("Options"):
            formatter.write_dl([record for param in params if (record := param.get_help_record(ctx))])
        self.format_commands(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Commands, and the options of `ask`."""
        return [*super().shell_complete(ctx, incomplete), *self.commands["ask"].shell_complete(ctx, incomplete)]


def _refuse_misspelt(word: str, commands: Iterable[str]) -> None:
    near = difflib.get_close_matches(word, [*commands, *_RESERVED], 1, 0.8)
    if near:
        meant = f"this version has no command {near[0]}" if near[0] in _RESERVED else f"did you mean {near[0]}?"
        raise UserError(f"{word}: {meant}", hint=f"to send it as a prompt: llmcli -- {word}")


app = typer.Typer(
    cls=_AskByDefault,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Ask a language model. The reply goes to stdout, everything about it to stderr.",
    epilog='Try it without a key: llmcli -m test:markdown "hello"',
)
config_app = typer.Typer(
    help="Settings: what is in force, and where it comes from.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(config_app, name="config")


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"llmcli {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def ask(
    ctx: typer.Context,
    prompt: opt.Prompt = None,
    model: opt.Model = None,
    system: opt.System = None,
    file: opt.File = None,
    temperature: opt.Temperature = None,
    top_p: opt.TopP = None,
    max_tokens: opt.MaxTokens = None,
    seed: opt.Seed = None,
    stop: opt.Stop = None,
    option: opt.Option = None,
    effort: opt.EffortOption = None,
    thinking: opt.Thinking = None,
    format: opt.Format = None,  # noqa: A002 - named like its option
    json: opt.Json = False,
    extract: opt.Extract = False,
    usage: opt.Usage = None,
    base_url: opt.BaseUrl = None,
    api_key_file: opt.ApiKeyFile = None,
    timeout: opt.Timeout = None,
    user_id: opt.UserId = None,
    stream: opt.Stream = None,
    color: opt.Color = None,
    lenient: opt.Lenient = None,
    allow_incomplete: opt.AllowIncomplete = None,
    dry_run: opt.DryRun = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    debug: opt.Debug = False,
) -> None:
    """Send one prompt; the default command."""
    from llmcli.ask import Options
    from llmcli.ask import ask as run

    raise typer.Exit(run(Options(**ctx.params)))  # the parameters above are its fields


@app.command()
def providers(json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Who can answer: prefix, aliases, address, key variables, and whether a key is set."""
    from llmcli.listing import providers_json, providers_table

    _listing(providers_json if json else providers_table)


@config_app.command("show")
def config_show(json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Every setting in force, and where it came from."""
    from llmcli.listing import settings_json, settings_table

    _listing(settings_json if json else settings_table)


@config_app.command("path")
def config_path() -> None:
    """Where the settings file is, or would be."""
    from llmcli.config import config_path as path

    _listing(lambda: f"{path()}\n")


def _listing(text: Callable[[], str]) -> None:
    from llmcli.render.terminal import Stdout

    Stdout().write(text())


def main() -> int:
    """Run the command in `sys.argv` and return its exit code; every error has been said by then."""
    from llmcli.render.terminal import Stderr

    if "_LLMCLI_COMPLETE" in os.environ:
        from llmcli.completion import register

        register()
    try:
        app(prog_name="llmcli")
    except SystemExit as done:  # how typer ends
        return done.code if isinstance(done.code, int) else 0
    except LlmcliError as error:
        if error.exit_code != 141:
            Stderr().error(error)
        return error.exit_code
    except Exception as error:
        if "--debug" in sys.argv or os.environ.get("LLMCLI_DEBUG"):
            raise
        what = f"a fault of llmcli itself: {type(error).__name__}: {error}"
        Stderr().error(LlmcliError(what, hint="please report it, with what --debug prints"))
        return 1
    return 0
