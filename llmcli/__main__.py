"""Start and end the process: handle signals before anything is imported, run the command line, exit without delay."""

import atexit
import gc
import os
import sys
from contextlib import suppress

_FLUSH_S = 2.0  # seconds to flush the output buffers after a signal


def main() -> None:
    """Run the command line and leave with its exit code; does not return."""
    if sys.stderr is None:  # the parent closed stderr; typer would write to stdout instead
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
    try:
        code = _version() if sys.argv[1:] == ["--version"] else _command()
    except KeyboardInterrupt as stop:
        from llmcli.errors import Interrupted

        code = Interrupted.by(stop).exit_code
    _leave(code)


def _version() -> int:
    from llmcli import __version__

    if sys.stdout is None:  # the parent closed it
        sys.stderr.write("error: stdout is closed\n")
        return 1
    try:
        sys.stdout.write(f"llmcli {__version__}\n")
        sys.stdout.flush()
    except OSError:
        return _command()  # which knows what to say
    return 0


def _command() -> int:
    # A higher threshold of the garbage collector: collecting during imports costs 10 % of the start-up time.
    gc.set_threshold(50_000)
    from llmcli.signals import catch_signals

    catch_signals(hold=True)
    from llmcli.cli.app import main as run

    return run()


def _leave(code: int) -> None:
    """End the process as `sys.exit` does, but do not take the modules apart, which takes as long as a short reply."""
    import signal

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # a further signal must not interrupt the exit
        signum = vars(signal).get(name)
        if signum and signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, lambda signum, _: os._exit(128 + signum))
    atexit._run_exitfuncs()
    if code > 128:  # a signal ended it, or a reader that has left: the flush must not wait for a full pipe
        from threading import Timer

        timer = Timer(_FLUSH_S, os._exit, [code])
        timer.daemon = True
        timer.start()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with suppress(OSError, ValueError):  # the reader closed the pipe; that was reported before
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
