"""The process: from the first moment Ctrl-C means exit code 130, and --version needs no import at all."""

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    if sys.argv[1:] == ["--version"]:
        from llmcli import __version__

        sys.stdout.write(f"llmcli {__version__}\n")
        return
    try:
        from llmcli.cli import main as run

        code = run()
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
