"""How typer converts the words of a command line, without pydantic (70 ms) where a word may stay as it is."""

from __future__ import annotations

from typing import Any, get_args

from typer._click.core import Command
from typer._coercion import RuntimeParam, build_runtime_param
from typer.core import TyperArgument, TyperCommand, TyperOption

__all__ = ["Quick", "QuickCommand"]


class _Unconverted(RuntimeParam):
    """Passes text and one of several words on; typer's own conversion is built when it is wanted for anything else."""

    def _coerce_value(self, value: Any, param: Any, ctx: Any) -> Any:
        if self.annotation in (str, list[str]) or value in get_args(self.annotation):
            return value
        return build_runtime_param(param.type_descriptor)._coerce_value(value, param, ctx)


class Quick(Command):
    """A command or a group whose parameters are converted like that.

    Typer has no public way to say so: hence the pinned version.
    """

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
