"""The process: from the first moment Ctrl-C means exit code 130, and --version needs hardly an import."""

import os
import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    if sys.stderr is None:  # closed by who started us; typer would speak to stdout instead
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
    try:
        code = _version() if sys.argv[1:] == ["--version"] else _command()
    except KeyboardInterrupt as stop:
        from llmcli.errors import Interrupted

        code = Interrupted.by(stop).exit_code
    sys.exit(code)


def _version() -> int:
    from llmcli import __version__
    from llmcli.errors import LlmcliError
    from llmcli.render.terminal import Stdout

    try:
        Stdout().write(f"llmcli {__version__}\n")
    except LlmcliError as error:
        return error.exit_code
    return 0


def _command() -> int:
    from llmcli.signals import catch_signals

    catch_signals()
    from llmcli.cli import main as run

    return run()


if __name__ == "__main__":
    main()
