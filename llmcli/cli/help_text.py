"""The text of help: the short help of llmcli, an example for each command, and styles on a terminal."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence

from llmcli.config.settings import FIELDS, SECTIONS, flag, meta_of, names

__all__ = ["EXAMPLES", "example_of", "short_help", "styled"]

_COMMON: Mapping[str, str] = {
    "model": "Model to use, or several with commas between.",
    "system": "System prompt. @FILE reads it from a file.",
    "template": "Prompt file to fill; llmcli templates lists them.",
    "file": "Text file, folder, glob or URL to send.",
    "attach": "Image, PDF or audio file to send.",
    "schema": "Ask for JSON that fits a schema.",
    "extract": "Print only the first fenced code block.",
    "json": "Print one JSON object with reply, usage and cost.",
    "out": "Write the reply to FILE, once it is whole.",
    "continue_last": "Go on with the last conversation.",
}
"""The settings whose options most people use, with a line for each; what this version does not have is left out."""

_TOGETHER = ("completion", "man", "help", "version")
"""Commands that share one line of the short help."""

_SHOWN_IN = {"Saved conversations": "Prompt"}  # sections of a few options, and the one beside which they stand
_WIDEST = 29  # columns of names beside which the help stands
_FIRST_EXAMPLES = (
    'git diff | llmcli "write a commit message" --out msg',
    "llmcli -m anthropic,openai -f notes.md 'sum this up'",
    'llmcli -m test:markdown "hello"      # needs no key and no network',
)

EXAMPLES: Mapping[str, str] = {
    "ask": 'llmcli ask -m openai "why is the sky blue?"',
    "chat": "llmcli chat -m anthropic -f notes.md",
    "templates": "llmcli templates",
    "templates list": "llmcli templates list --json",
    "templates show": "llmcli templates show commit",
    "templates path": 'cp review.md "$(llmcli templates path)"',
    "templates allow": "llmcli templates allow review",
    "models": "llmcli models anthropic haiku --sort price",
    "providers": "llmcli providers --json",
    "config": "llmcli config show",
    "config show": "llmcli config show --json",
    "config path": 'cat "$(llmcli config path)"',
    "config set": "llmcli config set max_cost 0.5",
    "config unset": "llmcli config unset aliases.fast",
    "config edit": "EDITOR=nano llmcli config edit",
    "local": "llmcli local list",
    "local list": "llmcli local list",
    "local pull": "llmcli local pull smollm2",
    "local rm": "llmcli local rm smollm2",
    "keys": "llmcli keys set openai",
    "keys set": "pass show openai | llmcli keys set openai",
    "keys list": "llmcli keys list",
    "keys rm": "llmcli keys rm openai",
    "tools": "llmcli tools list time",
    "tools list": "llmcli tools list time",
    "tools call": 'llmcli tools call time.get_current_time \'{"timezone": "UTC"}\'',
    "batch": "llmcli batch run prompts.jsonl --out replies.jsonl",
    "batch run": "llmcli batch run prompts.jsonl --out replies.jsonl --max-cost 2",
    "batch status": "llmcli batch status replies.jsonl",
    "batch cancel": "llmcli batch cancel replies.jsonl",
    "log": "llmcli log show last",
    "log list": "llmcli log list --limit 5",
    "log show": "llmcli log show last",
    "log search": "llmcli log search sqlite",
    "log rename": "llmcli log rename last sqlite-notes",
    "log rm": "llmcli log rm last",
    "log prune": "llmcli log prune --older-than 30d",
    "log export": "llmcli log export last --format html > talk.html",
    "log import": "llmcli log import talk.json",
    "log path": "llmcli log path",
    "usage": "llmcli usage --by model --since 7d",
    "doctor": "llmcli doctor anthropic:claude-haiku-5-5 --ping",
    "completion": 'eval "$(llmcli completion bash)"',
    "man": "llmcli man | man -l -",
    "help": "llmcli help config set",
    "version": "llmcli version",
}
"""One example for each command, by its words."""


def example_of(path: str) -> str | None:
    """The example of a command, named as `llmcli config set`."""
    return EXAMPLES.get(path.removeprefix("llmcli").strip())


def short_help(commands: Sequence[tuple[str, str]], columns: int | None = None) -> str:
    """The help of `llmcli --help`: commands, the options that most people use, the names of the others, examples."""
    width = min(columns or shutil.get_terminal_size((80, 24)).columns, 100)
    options = [(_usage_of(name), about) for name, about in _COMMON.items() if name in FIELDS]
    rows = [(name, about) for name, about in commands if name not in ("ask", *_TOGETHER)]
    rows.append((", ".join(_TOGETHER), ""))
    lines = [
        "Usage: llmcli [OPTIONS] [PROMPT]...  |  llmcli COMMAND",
        "Ask a language model. The reply goes to stdout, everything about it to stderr.",
        "",
        "Commands:",
        *_rows(rows, width),
        "",
        "Options:",
        *_rows(options, width),
        "",
        "More options (--help-all explains them):",
    ]
    for title in (one for one in SECTIONS if one not in _SHOWN_IN):
        flags = [_family(flag(name)) for name in names(lambda meta: bool(meta.flags)) if _belongs(name, title)]
        lines += textwrap.wrap(
            " ".join(dict.fromkeys(flags)),
            width - 2,
            initial_indent=f"  {title.split()[0] + ':':12}",
            subsequent_indent=" " * 14,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join([*lines, "", "Examples:", *(f"  {one}" for one in _FIRST_EXAMPLES)])


def _belongs(name: str, title: str) -> bool:
    section = meta_of(name).section
    return _SHOWN_IN.get(section, section) == title and name not in _COMMON


def _usage_of(name: str) -> str:
    meta = meta_of(name)
    flags = sorted((one.partition("/")[0] for one in meta.flags), key=len)
    return ", ".join(flags) + (f" {meta.metavar}" if meta.metavar else "")


def _family(name: str) -> str:
    """The flag; the three limits of tokens as one."""
    return re.sub(r"^--\w+-tokens-limit$", "--*-tokens-limit", name)


def _rows(rows: Iterable[tuple[str, str]], width: int) -> Iterator[str]:
    """Two columns, one line a row; what does not fit is cut."""
    rows = list(rows)
    left = max((len(name) for name, _ in rows if len(name) <= _WIDEST), default=0)
    for name, about in rows:
        line = f"  {name:{left}}  {about}" if about else f"  {name}"
        yield line if len(line) <= width else f"{line[: width - 1]}…"


def styled(text: str) -> str:
    """The text with bold headings and colored flags, where stdout is a terminal that shows them."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if plain or sys.stdout is None or not sys.stdout.isatty():
        return text
    text = re.sub(r"(?m)^(Usage|[A-Z][\w ]*(?:\([^)\n]*\))?)(:)", "\x1b[1m\\1\\2\x1b[22m", text)
    return re.sub(r"(?<![\w\x1b\[-])(--?[a-zA-Z][\w-]*)", "\x1b[36m\\1\x1b[39m", text)
