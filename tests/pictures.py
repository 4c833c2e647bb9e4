"""The pictures of the README: `python -m tests.pictures` runs the real command in a shell on a terminal, and draws it.

The providers are on 127.0.0.1 and say what stands here; all else on the screen is what the command wrote.
"""

from __future__ import annotations

import os
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

import pyte

from tests.fake_provider import Answer, FakeProvider, chat_chunk, named_sse, sse
from tests.pty_terminal import Terminal

DOCS = Path(__file__).parents[1] / "docs"
COLUMNS = 112
_WIDTH, _HEIGHT, _MARGIN = 8.4, 19, 16  # of a cell and the frame, in pixels
_COLORS = {
    "default": "#d7dae0",
    "black": "#3f4451",
    "red": "#e06c75",
    "green": "#98c379",
    "brown": "#d7ba7d",
    "blue": "#61afef",
    "magenta": "#c678dd",
    "cyan": "#56b6c2",
    "white": "#d7dae0",
}

UNDO = """\
## Undo the last commit

What is to become of its **changes** decides:

| you want them | command |
|:--|:--|
| staged, to commit anew | `git reset --soft HEAD~1` |
| in the files only | `git reset HEAD~1` |
| gone for good | `git reset --hard HEAD~1` |

1. Look at what it was: `git show --stat`.
2. If it was pushed already, undo it by a *new* commit instead:

```sh
git revert HEAD        # nobody else's history breaks
git push
```

> `git reflog` still knows the old one for 90 days.
"""
THOUGHT = "The person wants a name for a boat. Short, easy to call over the radio, and not yet taken in every harbour."
BOAT = "Call her **Sperling**: short, clear on the radio, and at home in every harbour.\n"
SECOND = "*Passat* if she is fast, *Muscheltaucher* if she is not.\n"


def anthropic(text: str, thought: str = "", stop: str = "end_turn", tokens: int = 212) -> Answer:
    """A reply of Anthropic's."""
    blocks = [("thinking", thought)] if thought else []
    events: list[dict[str, object]] = [
        {"type": "message_start", "message": {"model": "claude-haiku-5-5", "usage": {"input_tokens": 18}}}
    ]
    for index, (kind, said) in enumerate([*blocks, ("text", text)]):
        events += [
            {"type": "content_block_start", "index": index, "content_block": {"type": kind, kind: ""}},
            {"type": "content_block_delta", "index": index, "delta": {"type": f"{kind}_delta", kind: said}},
            {"type": "content_block_stop", "index": index},
        ]
    usage: dict[str, object] = {"output_tokens": tokens}
    if thought:
        usage["output_tokens_details"] = {"thinking_tokens": 31}
    events += [
        {"type": "message_delta", "delta": {"stop_reason": stop}, "usage": usage},
        {"type": "message_stop"},
    ]
    return Answer((named_sse(*events),))


def openai_chat(text: str, finish: str = "stop") -> Answer:
    """A reply of Chat Completions."""
    usage = {"prompt_tokens": 21, "completion_tokens": 40, "total_tokens": 61}
    last = {"id": "c1", "choices": [], "usage": usage}
    return Answer((sse(chat_chunk({"content": text}), chat_chunk(finish=finish), last),))


def one_shot(shell: Terminal, provider: FakeProvider) -> None:
    """A question in a shell."""
    provider.answers = [anthropic(UNDO)]
    run(shell, 'llmcli -m anthropic:claude-haiku-5-5 "how do I undo the last git commit?"')


def session(shell: Terminal, provider: FakeProvider) -> None:
    """The interactive session."""
    provider.answers = [anthropic(BOAT, THOUGHT, tokens=58), openai_chat(SECOND)]
    shell.see("$")
    shell.type("llmcli -m anthropic:claude-haiku-5-5\r")
    shell.say("a name for a small boat?")
    shell.see(" in · ")
    shell.say("/retry groq:openai/gpt-oss-20b")
    shell.see(lambda: shell.text.count(" in · ") == 2)
    shell.say("/usage")
    shell.see("\nall ")
    shell.ready()
    shell.see(lambda: "est." in shell.bar)


def honest(shell: Terminal, provider: FakeProvider) -> None:
    """What a script sees when something goes wrong."""
    overloaded = Answer((b'{"error": {"message": "The model is overloaded"}}',), 503, "application/json")
    provider.answers = [overloaded, openai_chat("Tides come from the pull of the moon, and of the sun.\n")]
    run(shell, 'llmcli -m openai-chat:gpt-6-luna,groq:openai/gpt-oss-20b --retries 0 "why are there tides?"')
    provider.answers = [anthropic("BEGIN;\nALTER TABLE boats ADD COLUMN harbour te", stop="max_tokens")]
    run(shell, 'llmcli -m anthropic:claude-haiku-5-5 "the migration" >migration.sql || echo "exit code $?"')


SCENES: dict[str, tuple[int, Callable[[Terminal, FakeProvider], None]]] = {
    "one-shot": (34, one_shot),
    "session": (22, session),
    "honest": (16, honest),
}


def run(shell: Terminal, command: str) -> None:
    """Type a command, and wait until the shell asks for the next one."""
    shell.see(lambda: shell.text.rstrip().endswith("$"))
    shell.type(f"{command}\r")
    shell.see(command[-20:])
    shell.see(lambda: shell.text.rstrip().endswith("\n$"))


@contextmanager
def started(rows: int, provider: FakeProvider, home: str) -> Iterator[Terminal]:
    """A shell that knows the command, some keys, and nothing else."""
    env = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PS1": "$ ",
        "HOME": home,
        "LLMCLI_HOME": home,
        "COLORFGBG": "15;0",
        "LC_ALL": "C.UTF-8",
        **{f"LLMCLI_{name}_BASE_URL": provider.url for name in ("ANTHROPIC", "OPENAI", "GROQ")},
        **{f"{name}_API_KEY": "sk-of-a-picture" for name in ("ANTHROPIC", "OPENAI", "GROQ")},
    }
    os.chdir(home)
    with Terminal(command=("bash", "--norc", "--noprofile"), env=env, columns=COLUMNS, rows=rows) as shell:
        yield shell


def drawn(screen: pyte.Screen) -> str:
    """The screen as SVG: a plain frame, the system's monospace font, nothing from elsewhere."""
    rows = [[screen.buffer[y][x] for x in range(screen.columns)] for y in range(screen.lines)]
    while rows and not "".join(cell.data for cell in rows[-1]).strip():
        rows.pop()
    width, height = COLUMNS * _WIDTH + 2 * _MARGIN, len(rows) * _HEIGHT + 2 * _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
        f'height="{height}" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace" '
        'font-size="14" xml:space="preserve">',
        f'<rect width="{width:.0f}" height="{height}" rx="8" fill="#1e2127"/>',
    ]
    for y, row in enumerate(rows):
        lines += _spans(row, _MARGIN + y * _HEIGHT + 14)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _spans(row: list[pyte.screens.Char], y: int) -> Iterator[str]:
    """One text for all neighbours that look the same; wide characters stand alone, as fonts disagree on them."""

    def look(at: int) -> tuple[object, ...]:
        cell = row[at]
        wide = at if unicodedata.east_asian_width(cell.data[:1] or " ") in "WF" else None
        return cell.fg, cell.bold, cell.italics, cell.underscore, cell.blink, wide

    for shape, places in groupby((at for at, cell in enumerate(row) if cell.data), look):
        found = list(places)
        text = "".join(row[at].data for at in found)
        if not text.strip():
            continue
        color, bold, italic, underlined, dim, _ = shape
        style = f'fill="{_COLORS.get(str(color), f"#{color}")}"'
        style += ' font-weight="bold"' if bold else ""
        style += ' font-style="italic"' if italic else ""
        style += ' text-decoration="underline"' if underlined else ""
        style += ' opacity="0.6"' if dim else ""
        length = f' textLength="{len(found) * _WIDTH:.1f}"' if len(found) > 1 else ""
        yield f'<text x="{_MARGIN + found[0] * _WIDTH:.1f}" y="{y}"{length} {style}>{escape(text)}</text>'


def main() -> None:
    """Draw every scene."""
    for name, (rows, scene) in SCENES.items():
        with tempfile.TemporaryDirectory() as home, FakeProvider() as provider, started(rows, provider, home) as shell:
            scene(shell, provider)
            DOCS.mkdir(exist_ok=True)
            (DOCS / f"{name}.svg").write_text(drawn(shell.screen), encoding="utf-8")


if __name__ == "__main__":
    main()
