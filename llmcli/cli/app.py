"""The llmcli command: the table of commands, the default command, and the mapping of errors to exit codes."""

import os
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from llmcli import __version__
from llmcli.cli.completion import COMPLETIONS, SCRIPTS
from llmcli.cli.typer_ext import (
    AskCommand,
    DefaultGroup,
    console_of,
    full_help,
    new_app,
    register_completion,
    run_app,
    settings_signature,
)
from llmcli.console import Console
from llmcli.errors import Interrupted, LlmcliError, UserError, internal_error
from llmcli.signals import deliver_signals, is_stopping
from llmcli.spelling import find_close

COMMANDS = {
    "chat": ("llmcli.cli.chat", "Hold an interactive session."),
    "log": ("llmcli.cli.log", "Saved conversations: list, show, search, delete, export."),
    "usage": ("llmcli.cli.usage", "Tokens and cost of all prompts."),
    "templates": ("llmcli.cli.templates", "Prompt files: list, show, allow."),
    "models": ("llmcli.cli.models", "Known models: context window and estimated price."),
    "providers": ("llmcli.cli.providers", "Providers: prefix, aliases, address, key variables."),
    "config": ("llmcli.cli.config", "Settings: what is in force, and where it comes from."),
    "local": ("llmcli.cli.local", "Models on this machine: list, pull, rm."),
    "keys": ("llmcli.cli.keys", "API keys, kept in a private file."),
    "tools": ("llmcli.cli.tools", "Tools: what servers and own commands offer; call one by hand."),
    "batch": ("llmcli.cli.batch", "Many prompts from a file, one JSON line a reply."),
    "doctor": ("llmcli.cli.doctor", "What would be sent where, with which key, and why."),
    "completion": ("llmcli.cli.completion_command", "Print the completion script of a shell."),
    "man": ("llmcli.cli.man", "Print the man page."),
    "help": ("llmcli.cli.help", "Show the help of a command."),
    "version": ("llmcli.cli.version", "Print the version."),
}
"""Each command: the module that holds it as `app`, and the line of help that `llmcli --help` shows."""

RESERVED: tuple[str, ...] = ()
"""Names of commands that this version does not have: such a word is not sent as a prompt."""

# Words that are commands in comparable tools, and the command to use here.
_ELSEWHERE = {
    "sessions": "llmcli log",
    "conversations": "llmcli log",
    "history": "llmcli log",
    "login": "llmcli keys set",
}


def _report_wrong_options(console: Console, options: Mapping[str, Any], error: LlmcliError) -> int:
    from llmcli.cli.ask import ask

    known = {name: options.get(name) for name in ("model", "format", "json", "out", "quiet", "color", "debug")}
    if isinstance(known["model"], list):
        known["model"] = ",".join(known["model"])
    if known["format"] not in ("text", "markdown", "json", "ndjson"):
        known["format"] = None
    return ask(known, console, error)


AskCommand.on_error = staticmethod(_report_wrong_options)


def command_rows() -> list[tuple[str, str]]:
    """All commands with their line of help, in order."""
    return [
        ("ask", "Send one prompt and show the reply; the default command."),
        *((n, h) for n, (_, h) in COMMANDS.items()),
    ]


class _Llmcli(DefaultGroup):
    on_demand = COMMANDS
    aliases: Mapping[str, str] = {"logs": "log"}


def _ask(ctx: typer.Context, **options: object) -> None:
    """Send one prompt and show the reply; the default command."""
    from llmcli.cli.ask import ask, into_file
    from llmcli.config.load import bare_config
    from llmcli.factory import wants_session

    console = console_of(ctx)
    models = options.get("model")
    if isinstance(models, list) and len(models) > 1:
        from llmcli.batch.compare import compare

        first = {**options, "model": models[0]}
        raise typer.Exit(into_file(first, console, lambda inner: compare(options, models, inner)))
    if wants_session(bare_config(options), console):
        from llmcli.repl.loop import chat

        raise typer.Exit(chat(options, console))
    raise typer.Exit(ask(options, console, _misspelled(options)))


def _misspelled(options: Mapping[str, Any]) -> UserError | None:
    """The error for a prompt that looks like a command; None for any other prompt."""
    prompt = options.get("prompt") or ()
    said_to_be_a_prompt = "--" in sys.argv or sys.argv[1:2] == ["ask"]
    if not prompt or said_to_be_a_prompt or (len(prompt) > 1 and prompt[0] not in RESERVED):
        return None
    word = prompt[0]
    send = f"to send it as a prompt: llmcli -- {' '.join(prompt)}"
    if word in _ELSEWHERE:
        return UserError(f"{word} is not a command", hint=f"use {_ELSEWHERE[word]}; {send}")
    near = find_close(word, (*COMMANDS, *RESERVED), 0.8)
    if near is None:
        return None
    meant = f"this version has no command {near}" if near in RESERVED else f"did you mean {near}?"
    return UserError(f"{word}: {meant}", hint=send)


vars(_ask)["__signature__"] = settings_signature(lambda meta: True, COMPLETIONS)

app = new_app(
    _ask,
    _Llmcli,
    help="Ask a language model. The reply goes to stdout, everything about it to stderr.",
    epilog='Try it without a key: llmcli -m test:markdown "hello"',
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"llmcli {__version__}")
        raise typer.Exit


def _print_help_all(ctx: typer.Context, wanted: bool) -> None:
    if wanted:
        typer.echo(full_help(ctx))
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    help_all: Annotated[
        bool, typer.Option("--help-all", callback=_print_help_all, is_eager=True, help="Show the help of every option.")
    ] = False,
) -> None:
    pass


def main() -> int:
    """Run the command in `sys.argv`, and return its exit code. Every error has been shown by then."""
    if "_LLMCLI_COMPLETE" in os.environ:
        register_completion([*SCRIPTS])
    console = Console()
    try:
        code = run_app(app, console)
        deliver_signals()
        if not is_stopping():
            console.stdout.flush()
        return code
    except KeyboardInterrupt as stop:
        return Interrupted.by(stop).exit_code
    except LlmcliError as error:
        return _report(error, console)
    except OSError as error:  # from what Typer prints, as --help does, onto a full disk
        return _report(LlmcliError(f"cannot write to stdout: {error.strerror}", kind="output"), console)
    except Exception as error:  # noqa: BLE001 - the last resort: every error is shown in our way, without keys
        import traceback

        wanted = "--debug" in sys.argv or os.environ.get("LLMCLI_DEBUG")
        traced = traceback.format_exc() if wanted else ""
        return _report(internal_error(error), console, traced)


def _report(error: LlmcliError, console: Console, traced: str = "") -> int:
    """Show an error that no command has shown, with the keys of all providers redacted, and return its exit code."""
    from llmcli.providers.credentials import keys_in
    from llmcli.providers.table import PROVIDERS

    console.secrets.add(*keys_in(os.environ, PROVIDERS))
    console.stderr.write(traced)
    if error.exit_code != 141:
        console.stderr.error(error)
    return error.exit_code
