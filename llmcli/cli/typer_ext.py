"""Everything that touches Typer's internals: commands from `Settings`, a default command, commands loaded on demand.

Typer has no public way to do these things: hence the pinned version. `tests/test_completion.py`, `tests/test_odd.py`
and `tests/test_cli.py` fail where an internal changes.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any, cast, get_args

import typer
from typer._click.core import Command
from typer._click.exceptions import BadParameter, NoArgsIsHelpError, NoSuchOption, UsageError
from typer._click.shell_completion import CompletionItem, add_completion_class
from typer._coercion import RuntimeParam, build_runtime_param
from typer._completion_classes import BashComplete
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typer.main import get_command

from llmcli.cli.help_text import example_of, short_help, styled
from llmcli.config.settings import FIELDS, SECTIONS, Meta, kind_of, meta_of
from llmcli.console import Console
from llmcli.errors import Interrupted, LlmcliError, UserError, causes_of
from llmcli.signals import deliver_signals

__all__ = [
    "DefaultGroup",
    "QuickCommand",
    "QuickGroup",
    "console_of",
    "full_help",
    "new_app",
    "new_group",
    "register_completion",
    "run_app",
    "settings_signature",
    "took",
]

_Complete = Callable[[str], list[str]]


def settings_signature(which: Callable[[Meta], object], completions: Mapping[str, _Complete]) -> inspect.Signature:
    """The signature of a command: a Typer context, and an option for each field of `Settings` that `which` picks.

    A parameter that was not given is None, or an empty list where it may be repeated.
    """
    keyword = inspect.Parameter.KEYWORD_ONLY
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    found = [context]
    for name in FIELDS:
        meta = meta_of(name)
        if which(meta) and (meta.flags or meta.metavar):
            kind = list[str] if name == "model" else kind_of(name)  # -m A -m B asks both
            annotation: Any = Annotated[kind | None, _parameter(meta, completions)]
            found.append(inspect.Parameter(name, keyword, default=None, annotation=annotation))
    return inspect.Signature(found)


def _parameter(meta: Meta, completions: Mapping[str, _Complete]) -> Any:
    complete = completions.get(meta.complete or "")
    if not meta.flags:
        return typer.Argument(metavar=meta.metavar, help=meta.help, show_default=False)
    bounds = {"min": meta.min, "max": meta.max} if meta.min is not None or meta.max is not None else {}
    more: dict[str, Any] = {"metavar": meta.metavar, "help": meta.help, "autocompletion": complete, **bounds}
    return typer.Option(*meta.flags, **more)


class _Unconverted(RuntimeParam):
    """Passes text and words of a Literal on; builds Typer's own conversion, which imports pydantic, only for others."""

    def _coerce_value(self, value: Any, param: Any, ctx: Any) -> Any:
        if self.annotation in (str, list[str]) or value in get_args(self.annotation):
            return value
        try:
            return build_runtime_param(param.type_descriptor)._coerce_value(value, param, ctx)
        except BadParameter as error:
            errors = getattr(error.__cause__, "errors", None)
            if errors is None:
                raise
            from llmcli.config.schema import reason_of

            raise BadParameter("; ".join(map(reason_of, errors())), ctx=ctx, param=param) from error


@contextmanager
def _errors_as_ours(args: Sequence[str] = ()) -> Iterator[None]:
    try:
        yield
    except NoArgsIsHelpError:
        raise
    except UsageError as error:
        if isinstance(error, NoSuchOption) and error.possibilities:
            error.possibilities = _related(error.option_name, error.possibilities)
        message = error.format_message().rstrip(".")
        hint = f"{error.ctx.command_path} --help says more" if error.ctx else None
        if "No such command" in message or "unexpected extra argument" in message:
            hint = f"{hint}; to send it as a prompt: llmcli -- {' '.join(sys.argv[1:])}"
        raise UserError(message, hint=hint) from None


def _related(option: str, possibilities: Sequence[str]) -> list[str]:
    """The options that a misspelt one may be: much alike, or begun in the same way."""
    import difflib

    close = difflib.get_close_matches(option, possibilities, 3, 0.75)
    return [one for one in possibilities if one in close or one.startswith(option)]


def _check_stdout() -> None:
    """Raise LlmcliError where the help could not be seen: Typer prints it to nothing without a word."""
    if sys.stdout is None:
        raise LlmcliError("stdout is closed", hint="send it somewhere: llmcli ... >file", kind="output")


class Quick(Command):
    """A command or a group whose parameters are converted quickly, and whose errors are reported like all others."""

    def make_context(self, *args: Any, **named: Any) -> Any:
        """See `Command.make_context`. Raises UserError."""
        with _errors_as_ours():
            return super().make_context(*args, **named)

    def get_params(self, ctx: Any) -> list[Any]:
        """See `Command.get_params`: those of the command, and --help."""
        params = super().get_params(ctx)
        for param in params:
            if isinstance(param, TyperOption | TyperArgument) and param._runtime_param is None:
                descriptor = param.type_descriptor
                param._runtime_param = _Unconverted(descriptor.parameter_info, descriptor.annotation)
        return params

    def get_help(self, ctx: Any) -> str:
        """See `Command.get_help`: with an example, and styled on a terminal."""
        _check_stdout()
        example = example_of(ctx.command_path)
        return styled(super().get_help(ctx) + (f"\n\nExample:\n  {example}" if example else ""))


class QuickCommand(Quick, TyperCommand):
    """A quick command."""

    def invoke(self, ctx: Any) -> Any:
        """See `Command.invoke`. Raises KeyboardInterrupt for a signal that came before."""
        deliver_signals()
        return super().invoke(ctx)


class QuickGroup(Quick, TyperGroup):
    """A quick group. `default` is the command that runs where none is named; None: the help is shown."""

    default: str | None = None

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See `Group.parse_args`."""
        is_option = bool(args) and args[0].startswith("-") and args[0] not in ("-h", "--help")
        if self.default and not ctx.resilient_parsing and (not args or is_option):
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def resolve_command(self, *args: Any) -> Any:
        """See `Group.resolve_command`. Raises UserError."""
        with _errors_as_ours():
            return super().resolve_command(*args)


class AskCommand(QuickCommand):
    """The command whose errors of use are reported in the format that its other options ask for."""

    on_error: Callable[[Any, Mapping[str, Any], LlmcliError], int]

    def invoke(self, ctx: Any) -> Any:
        """See `Command.invoke`; `ask` itself reports a signal that came before."""
        return super(QuickCommand, self).invoke(ctx)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """See `Quick.make_context`; where options are wrong, call `on_error` with those that can be read, and exit."""
        words = list(args)  # the parser empties its own list
        try:
            return super().make_context(info_name, args, parent, **extra)
        except UserError as error:
            raise typer.Exit(type(self).on_error(parent.obj, took(self, words), error)) from None


def took(command: Command, words: Sequence[str]) -> dict[str, Any]:
    """The options that the parser finds in the words, unconverted, whatever else is wrong with them."""
    context = command.context_class(command, resilient_parsing=True, ignore_unknown_options=True)
    values, _, _ = command.make_parser(context).parse_args(list(words))
    return {name: value for name, value in values.items() if isinstance(value, str | bool | list)}


class DefaultGroup(QuickGroup):
    """A group whose `ask` needs no name, and whose other commands are imported when they are named.

    `on_demand` maps the name of a command to its module, which holds it as `app`, and to its help.
    """

    on_demand: Mapping[str, tuple[str, str]] = {}
    aliases: Mapping[str, str] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, in the order of the table."""
        return ["ask", *self.on_demand]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, imported where that was not done yet."""
        name = self.aliases.get(cmd_name, cmd_name)
        if name not in self.commands and name in self.on_demand:
            found = get_command(import_module(self.on_demand[name][0]).app)
            found.name = name
            self.commands[name] = found
        return super().get_command(ctx, name)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `ask` in front, unless a command is named; options may stand before its name."""
        if "--help-all" in (args[: args.index("--")] if "--" in args else args):
            args = ["--help-all"]
        if args and args[0] in ("--help", "-h", "--help-all", "--version"):
            return super().parse_args(ctx, args)
        place = _first_word(self.commands["ask"], ctx, args)
        if place is not None and self._is_command(args[place]):
            return super().parse_args(ctx, [args[place], *args[:place], *args[place + 1 :]])
        if ctx.resilient_parsing and not args:
            return super().parse_args(ctx, args)
        return super().parse_args(ctx, ["ask", *args])

    def _is_command(self, word: str) -> bool:
        return word == "ask" or word in self.on_demand or word in self.aliases

    def get_help(self, ctx: Any) -> str:
        """The short help; `full_help` has every option."""
        _check_stdout()
        ask = self.commands["ask"].get_short_help_str(60)
        rows = [("ask", ask), *((name, about) for name, (_, about) in self.on_demand.items())]
        return styled(short_help(rows))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The usage line of --help-all."""
        return ["[OPTIONS] [PROMPT]...  |  COMMAND"]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The options of `ask` are those of the whole command, in the sections of `Settings`."""
        params = [*self.commands["ask"].get_params(ctx)[:-1], *self.get_params(ctx)]
        rows: dict[str, list[tuple[str, str]]] = {title: [] for title in SECTIONS}
        for param in params:
            if record := param.get_help_record(ctx):
                name = str(param.name)
                if isinstance(param, TyperArgument):
                    record = (str(param.metavar), record[1])
                rows[meta_of(name).section if name in FIELDS else "Other"].append(record)
        for title, records in ((title, records) for title, records in rows.items() if records):
            with formatter.section(title):
                formatter.write_dl(records)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The commands with their help, without importing them."""
        ask = self.commands["ask"].get_short_help_str(60)
        with formatter.section("Commands"):
            formatter.write_dl([("ask", ask), *((name, about) for name, (_, about) in self.on_demand.items())])

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Commands, and the options of `ask`."""
        own = [CompletionItem(name, help=about) for name, (_, about) in self.on_demand.items()]
        own.insert(0, CompletionItem("ask", help=self.commands["ask"].get_short_help_str()))
        commands = [item for item in own if str(item.value).startswith(incomplete)]
        options = super(TyperGroup, self).shell_complete(ctx, incomplete) if incomplete.startswith("-") else []
        known = {item.value for item in (*commands, *options)}
        asks = self.commands["ask"].shell_complete(ctx, incomplete)
        return [*commands, *options, *(item for item in asks if item.value not in known)]


def _first_word(command: Command, ctx: Any, args: Sequence[str]) -> int | None:
    """The place of the first word that is neither an option nor the value of one; None after `--`."""
    options = {flag: param for param in command.get_params(ctx) for flag in (*param.opts, *param.secondary_opts)}
    place = 0
    while place < len(args):
        word = args[place]
        if word == "--":
            return None
        if not word.startswith("-") or word == "-":
            return place
        name = word if word.startswith("--") else word[:2]
        param = options.get(name)
        takes_value = param is not None and not getattr(param, "is_flag", False)
        place += 2 if takes_value and "=" not in word and word == name else 1
    return None


def new_app(default: Callable[..., None], group: type[DefaultGroup], help: str, epilog: str) -> typer.Typer:  # noqa: A002
    """The Typer app of the whole command, with `default` as its `ask`."""
    app = typer.Typer(
        cls=group,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        help=help,
        epilog=epilog,
    )
    app.command("ask", cls=AskCommand)(default)
    return app


def new_group(help: str, *, no_args_is_help: bool = True, default: str | None = None) -> typer.Typer:  # noqa: A002
    """The Typer app of a noun, such as `keys`, whose commands are added by its `command`.

    `default` is the command that runs where none is named.
    """
    return typer.Typer(
        cls=type("Group", (QuickGroup,), {"default": default}) if default else QuickGroup,
        help=help,
        no_args_is_help=no_args_is_help,
        rich_markup_mode=None,
        add_completion=False,
        pretty_exceptions_enable=False,
    )


def full_help(ctx: typer.Context) -> str:
    """The help of llmcli with every option."""
    context: Any = ctx
    formatter = context.make_formatter()
    context.command.format_help(context, formatter)
    return styled(formatter.getvalue().rstrip("\n"))


def console_of(ctx: typer.Context) -> Console:
    """The console that `run_app` was given."""
    return cast(Console, ctx.obj)


def run_app(app: typer.Typer, console: Console) -> int:
    """Run the command in `sys.argv`, and return its exit code. Raises LlmcliError, and KeyboardInterrupt for Ctrl-C."""
    try:
        app(prog_name="llmcli", obj=console)
    except SystemExit as done:  # how Typer ends; a closed pipe it marks by what it puts in the place of stdout
        if stop := next((cause for cause in causes_of(done) if isinstance(cause, KeyboardInterrupt)), None):
            return Interrupted.by(stop).exit_code
        closed = type(sys.stdout).__name__ == "PacifyFlushWrapper"
        return 141 if closed else done.code if isinstance(done.code, int) else 0
    return 0


class _Candidates(BashComplete):
    """The answer to every shell: see the protocol in `llmcli.cli.completion`."""

    def complete(self) -> str:
        """One line for each candidate."""
        args, incomplete = self.get_completion_args()
        option, equals, value = incomplete.partition("=")
        joined = bool(equals) and option.startswith("--")
        if joined:  # Typer would look for the option in the group, which does not have those of `ask`
            args, incomplete = [*args, option], value
        lines = {}
        for item in self.get_completions(args, incomplete):
            whole = f"{option}={item.value}" if joined else str(item.value)
            lines[whole] = f"{whole}\t{' '.join(item.help.split())}" if item.help else whole
        return "\n".join(lines.values())


def register_completion(shells: Sequence[str]) -> None:
    """Let Typer answer `_LLMCLI_COMPLETE`, which it does not by itself in an app without --install-completion."""
    for shell in shells:
        add_completion_class(_Candidates, shell)
