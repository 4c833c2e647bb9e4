"""How typer reads a command line here: without pydantic (70 ms) where a word may stay as it is, with errors of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_args

from typer._click.core import Command
from typer._click.exceptions import NoArgsIsHelpError, UsageError
from typer._coercion import RuntimeParam, build_runtime_param
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from llmcli.errors import UserError

__all__ = ["QuickCommand", "QuickGroup"]


class _Unconverted(RuntimeParam):
    """Passes text and one of several words on; typer's own conversion is built when it is wanted for anything else."""

    def _coerce_value(self, value: Any, param: Any, ctx: Any) -> Any:
        if self.annotation in (str, list[str]) or value in get_args(self.annotation):
            return value
        return build_runtime_param(param.type_descriptor)._coerce_value(value, param, ctx)


@contextmanager
def _errors_as_ours() -> Iterator[None]:
    try:
        yield
    except NoArgsIsHelpError:
        raise
    except UsageError as error:
        hint = f"{error.ctx.command_path} --help says more" if error.ctx else None
        raise UserError(error.format_message().replace("Value error, ", "").rstrip("."), hint=hint) from None


class Quick(Command):
    """A command or a group whose parameters are converted like that, and whose errors are said like all others.

    Typer has no public way to say so: hence the pinned version.
    """

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


class QuickCommand(Quick, TyperCommand):
    """A command of typer's like that."""


class QuickGroup(Quick, TyperGroup):
    """A group of typer's like that."""

    def resolve_command(self, *args: Any) -> Any:
        """See `Group.resolve_command`. Raises UserError."""
        with _errors_as_ours():
            return super().resolve_command(*args)
