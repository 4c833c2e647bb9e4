"""The command line: commands and their errors. What they do stands elsewhere."""

from __future__ import annotations

import difflib
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, cast

import typer

from llmcli import __version__
from llmcli.cli import options as opt
from llmcli.cli.completion import complete_provider
from llmcli.cli.typer_ext import QuickCommand, QuickGroup
from llmcli.errors import Interrupted, LlmcliError, UserError, causes_of
from llmcli.render.streams import Stderr, Stdout

# Commands of later versions: a lone word like that is no prompt that somebody meant to pay for.
_RESERVED = ("log", "usage")


class _AskByDefault(QuickGroup):
    """A group whose `ask` needs no name. Typer has no public way to say this: hence the pinned version."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `ask` in front, unless the first word is a command."""
        first = args[0] if args else ""
        if first in (*self.commands, "--help", "-h", "--version") or (ctx.resilient_parsing and not args):
            return super().parse_args(ctx, args)
        return super().parse_args(ctx, ["ask", *args])

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The usage line of --help."""
        return ["[OPTIONS] [PROMPT]...  |  COMMAND"]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The options of `ask` are those of the whole command, in sections."""
        params = [*self.commands["ask"].get_params(ctx)[:-1], *self.get_params(ctx)]
        records = {param.name: record for param in params if (record := param.get_help_record(ctx))}
        sections = {title: [records.pop(name) for name in names] for title, names in opt.SECTIONS.items()}
        for title, rows in (*sections.items(), ("Besides", list(records.values()))):
            with formatter.section(title):
                formatter.write_dl(rows)
        self.format_commands(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Commands, and the options of `ask`."""
        return [*super().shell_complete(ctx, incomplete), *self.commands["ask"].shell_complete(ctx, incomplete)]


class _Ask(QuickCommand):
    """The command of which a script may want to know in JSON what was wrong with its options."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """See `Quick.make_context`."""
        words = list(args)  # the parser takes its own away
        try:
            return super().make_context(info_name, args, parent, **extra)
        except UserError as error:
            from llmcli.cli.ask import ask as run
            from llmcli.factory import Options

            said = " ".join(words).replace("=", " ")
            form = next((form for form in ("ndjson", "json") if f"--format {form}" in said), None)
            raise typer.Exit(run(Options(format=form, json="--json" in words), error)) from None


def _misspelt(prompt: Sequence[str], commands: Iterable[str]) -> UserError | None:
    """What is wrong with a prompt that looks like a command."""
    said_to_be_a_prompt = "--" in sys.argv or sys.argv[1:2] == ["ask"]
    if not prompt or said_to_be_a_prompt or (len(prompt) > 1 and prompt[0] not in _RESERVED):
        return None
    word = prompt[0]
    if word == "help":
        return UserError("help is no command", hint="llmcli --help; to send it as a prompt: llmcli -- help")
    near = next(iter(difflib.get_close_matches(word, [*commands, *_RESERVED], 1, 0.8)), None)
    if near is None:
        return None
    meant = f"this version has no command {near}" if near in _RESERVED else f"did you mean {near}?"
    return UserError(f"{word}: {meant}", hint=f"to send it as a prompt: llmcli -- {word}")


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
    cls=QuickGroup,
    help="Settings: what is in force, and where it comes from.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(config_app, name="config")
keys_app = typer.Typer(
    cls=QuickGroup, help="Keys, kept in a file of your own.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(keys_app, name="keys")


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


@app.command(cls=_Ask)
def ask(
    ctx: typer.Context,
    prompt: opt.Prompt = None,
    model: opt.Model = None,
    system: opt.System = None,
    file: opt.File = None,
    attach: opt.Attach = None,
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
    proxy: opt.Proxy = None,
    ca_file: opt.CaFile = None,
    timeout: opt.Timeout = None,
    retries: opt.Retries = None,
    request_limit: opt.RequestLimit = None,
    request_tokens_limit: opt.RequestTokensLimit = None,
    response_tokens_limit: opt.ResponseTokensLimit = None,
    total_tokens_limit: opt.TotalTokensLimit = None,
    max_cost: opt.MaxCost = None,
    allow_unknown_cost: opt.AllowUnknownCost = None,
    user_id: opt.UserId = None,
    region: opt.Region = None,
    project: opt.Project = None,
    service_account: opt.ServiceAccount = None,
    stream: opt.Stream = None,
    theme: opt.Theme = None,
    color: opt.Color = None,
    lenient: opt.Lenient = None,
    allow_incomplete: opt.AllowIncomplete = None,
    no_input: opt.NoInput = False,
    dry_run: opt.DryRun = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    debug: opt.Debug = False,
) -> None:
    """Send one prompt; the default command."""
    from llmcli.cli.ask import ask as run
    from llmcli.factory import Options, wants_session

    options = Options(**ctx.params)  # the parameters above are its fields
    if wants_session(options):
        from llmcli.repl.loop import chat

        raise typer.Exit(chat(options))
    raise typer.Exit(run(options, _misspelt(prompt or [], cast(Any, ctx.parent).command.commands)))


def chat(ctx: typer.Context, **given: object) -> None:
    """Talk: the interactive session."""
    from llmcli.factory import Options
    from llmcli.repl.loop import chat as run

    raise typer.Exit(run(Options(**ctx.params)))


def _like(command: Callable[..., None], *, without: tuple[str, ...]) -> inspect.Signature:
    """The signature of a command, less some of its options: so that it need not stand here twice."""
    whole = inspect.signature(command, eval_str=True)
    return whole.replace(parameters=[one for name, one in whole.parameters.items() if name not in without])


vars(chat)["__signature__"] = _like(ask, without=("prompt", "json", "extract", "dry_run"))
app.command(cls=QuickCommand)(chat)


@app.command(cls=QuickCommand)
def providers(json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Who can answer: prefix, aliases, address, key variables, and whether a key is set."""
    from llmcli.cli.listing import providers_json, providers_table

    _listing(providers_json if json else providers_table)


@app.command(cls=QuickCommand)
def models(
    provider: Annotated[
        str | None,
        typer.Argument(
            metavar="PROVIDER", help="Only this one's.", show_default=False, autocompletion=complete_provider
        ),
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Ask the provider itself which it has.")] = False,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Known models: context window and estimated price.

    The window is in tokens, the price in USD per million tokens, in and out. A + marks a price that rises with the
    length of the prompt, a - what is not known.
    """
    from llmcli.cli.listing import models_json, models_table

    _listing(lambda: (models_json if json else models_table)(provider, live))


@config_app.command("show", cls=QuickCommand)
def config_show(json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Every setting in force, and where it came from."""
    from llmcli.cli.listing import settings_json, settings_table

    _listing(settings_json if json else settings_table)


@config_app.command("path", cls=QuickCommand)
def config_path() -> None:
    """Where the settings file is, or would be."""
    from llmcli.config.load import config_path as path

    _listing(lambda: f"{path()}\n")


_KeyOwner = Annotated[str, typer.Argument(metavar="PROVIDER", help="Whose.", autocompletion=complete_provider)]


@keys_app.command("set", cls=QuickCommand, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def keys_set(ctx: typer.Context, provider: _KeyOwner) -> None:
    """Keep a key: asked for without echo, or read from stdin."""
    from llmcli.cli.keys import set_key

    set_key(provider, ctx.args)


@keys_app.command("list", cls=QuickCommand)
def keys_list(json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Where each key in force comes from; never the key."""
    from llmcli.cli.keys import keys_json, keys_table

    _listing(keys_json if json else keys_table)


@keys_app.command("rm", cls=QuickCommand)
def keys_rm(provider: _KeyOwner) -> None:
    """Forget a key that was kept."""
    from llmcli.cli.keys import forget_key

    forget_key(provider)


def _listing(text: Callable[[], str]) -> None:
    Stdout().write(text())


def main() -> int:
    """Run the command in `sys.argv` and return its exit code; every error has been said by then."""
    if "_LLMCLI_COMPLETE" in os.environ:
        from llmcli.cli.completion import register

        register()
    code = _run()
    try:
        Stdout().flush()
    except LlmcliError as error:
        return code or _said(error)
    return code


def _run() -> int:
    try:
        app(prog_name="llmcli")
    except SystemExit as done:  # how typer ends; a closed pipe it marks by what it puts in the place of stdout
        if stop := next((cause for cause in causes_of(done) if isinstance(cause, KeyboardInterrupt)), None):
            return Interrupted.by(stop).exit_code
        closed = type(sys.stdout).__name__ == "PacifyFlushWrapper"
        return 141 if closed else done.code if isinstance(done.code, int) else 0
    except LlmcliError as error:
        return _said(error)
    except OSError as error:  # what prints by itself, as --help does, onto a full disk
        return _said(LlmcliError(f"cannot write to stdout: {error.strerror}", kind="output"))
    except Exception as error:  # noqa: BLE001 - the last resort: whatever it is, it is said in our way, without keys
        import traceback

        what = f"a fault of llmcli itself: {type(error).__name__}: {error}"
        traced = traceback.format_exc() if "--debug" in sys.argv or os.environ.get("LLMCLI_DEBUG") else ""
        return _said(LlmcliError(what, hint="please report it, with what --debug prints"), traced)
    return 0


def _said(error: LlmcliError, traced: str = "") -> int:
    from llmcli.providers.credentials import keys_in
    from llmcli.providers.table import PROVIDERS

    stderr = Stderr()
    stderr.secrets = keys_in(os.environ, PROVIDERS)
    stderr.write(traced)
    if error.exit_code != 141:
        stderr.error(error)
    return error.exit_code
