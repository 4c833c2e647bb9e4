"""Write the man page of llmcli as roff, from the tables of commands and settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from llmcli import __version__
from llmcli.cli.help_text import EXAMPLES, example_of
from llmcli.config.settings import SECTIONS, meta_of, names, variable

__all__ = ["EXIT_CODES", "man_page"]

EXIT_CODES = (
    (0, "the reply is whole"),
    (1, "a bug of llmcli, or stdout or a file cannot be written"),
    (2, "wrong use; nothing was sent"),
    (3, "credentials or settings are missing or refused"),
    (4, "the provider refused the request, or its response is not a reply"),
    (5, "the provider is overloaded or limits the rate, after retries"),
    (6, "network: name, connection, TLS, proxy, timeout"),
    (7, "the reply is incomplete; the text that arrived is on stdout"),
    (8, "a usage or cost limit was exceeded"),
    (9, "the reply does not fit the schema, or has no code block"),
    (10, "some rows of a batch, or some of several models, failed"),
    (11, "a tool call that was not allowed kept the prompt from a reply"),
    (12, "a batch job of a vendor is not finished yet"),
    (129, "SIGHUP"),
    (130, "Ctrl-C; the text that arrived is on stdout"),
    (141, "the reader of stdout closed the pipe"),
    (143, "SIGTERM"),
)
"""Each exit code, and when it is returned."""


def man_page(commands: Sequence[tuple[str, str]]) -> str:
    """The page; `commands` are the names of commands with their help."""
    return "\n".join(
        [
            f'.TH LLMCLI 1 "" "llmcli {__version__}" "User Commands"',
            ".SH NAME",
            r"llmcli \- ask a language model from the command line",
            ".SH SYNOPSIS",
            r".B llmcli",
            r"[\fIOPTIONS\fR] [\fIPROMPT\fR]...",
            ".br",
            r".B llmcli",
            r"\fICOMMAND\fR ...",
            ".SH DESCRIPTION",
            _text(
                "Sends one prompt and shows the reply. The reply goes to stdout, everything about it to stderr. "
                "Without a prompt, on a terminal, it begins a session. A model is PROVIDER:MODEL; without -m it is "
                "LLMCLI_MODEL, then the settings file, then the first provider with a key."
            ),
            ".SH COMMANDS",
            *_commands(commands),
            ".SH OPTIONS",
            *_options(),
            ".SH EXIT STATUS",
            *(line for code, when in EXIT_CODES for line in (".TP", rf"\fB{code}\fR", _text(when))),
            ".SH ENVIRONMENT",
            *_variables(),
            ".SH FILES",
            _text(
                "`llmcli config path` names the settings file; keys, prompt files and saved conversations have their "
                "own commands. All of them are readable by their owner alone."
            ),
            ".SH EXAMPLES",
            *(line for one in _examples() for line in (".PP", ".nf", _text(one), ".fi")),
            "",
        ]
    )


def _commands(commands: Sequence[tuple[str, str]]) -> Iterator[str]:
    for name, about in commands:
        yield from (".TP", rf"\fBllmcli {name}\fR", _text(about))
        if example := example_of(name):
            yield from (".br", _text(f"Example: {example}"))


def _options() -> Iterator[str]:
    for title in SECTIONS:
        yield f".SS {title}"
        for name in names(lambda meta: bool(meta.flags or meta.metavar)):
            meta = meta_of(name)
            if meta.section == title and (meta.flags or name == "prompt"):
                flags = ", ".join(rf"\fB{_text(one)}\fR" for one in sorted(meta.flags, key=lambda one: one[1] == "-"))
                value = rf"\fI{_text(meta.metavar)}\fR" if meta.metavar else ""
                yield from (".TP", " ".join(filter(None, (flags, value))), _text(meta.help))
                if meta.env:
                    yield from (".br", _text(f"Variable: {variable(name)}"))
    yield from (".TP", r"\fB\-\-version\fR", "Print the version.")
    yield from (".TP", r"\fB\-h\fR, \fB\-\-help\fR", "Show the short help.")
    yield from (".TP", r"\fB\-\-help\-all\fR", "Show the help of every option.")


def _variables() -> Iterator[str]:
    told = (
        ("LLMCLI_HOME", "The folder of settings, keys and data, in place of the folders of the system."),
        ("LLMCLI_<SETTING>", "A setting, such as LLMCLI_MAX_TOKENS; options say which have one."),
        ("LLMCLI_<PROVIDER>_BASE_URL", "The base URL of a provider."),
        ("NO_COLOR", "Show no colors."),
        ("HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY", "The proxy, and the hosts that are reached without it."),
    )
    for name, about in told:
        yield from (".TP", rf"\fB{_text(name)}\fR", _text(about))


def _examples() -> Iterator[str]:
    yield 'git diff | llmcli "write a commit message" --out msg && git commit -F msg'
    yield 'llmcli -m test:markdown "hello"'
    yield EXAMPLES["models"]


def _text(text: str) -> str:
    """Plain text as roff: a hyphen is a minus, a backslash is one, and no line is a request."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("`", r"\(ga")
    return re.sub(r"(?m)^\.", r"\\&.", text)
