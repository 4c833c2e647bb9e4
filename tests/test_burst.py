"""A reply that arrives before its layout is ready, or while the terminal is resized, leaves one rendering behind."""

from __future__ import annotations

import subprocess
import sys

import pytest

from llmcli.render.markdown.document import Document, whole
from llmcli.render.markdown.layout import Layout
from llmcli.render.markdown.theme import Look, find_look
from llmcli.render.region import Region
from tests.fake_provider import FakeProvider, chat_reply
from tests.screen import Screen
from tests.terminal import Terminal

_LATE_IMPORT = """
import sys, time
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "llmcli.render.markdown.layout":
            time.sleep(1.5)
sys.meta_path.insert(0, Finder())
from llmcli.__main__ import main
main()
"""
LATE = (sys.executable, "-c", _LATE_IMPORT)
TEXT = "".join(
    f"## Step {n}\n\nsome **strong** words, {'and more ' * 12}`code` 表示\n\n- *a*\n- b\n\n" for n in range(12)
)


def expected(text: str, columns: int, height: int) -> list[str]:
    terminal = Terminal(columns, height)
    layout = Layout(find_look("auto", None, terminal=True, environ={}))
    terminal.write("".join(f"{line}\n" for line in whole(text, layout, columns)))
    return terminal.rows()


@pytest.mark.parametrize("size", [(80, 24), (40, 20), (60, 6)], ids=str)
@pytest.mark.parametrize("text", [TEXT, "# One\n\n" + "word **x** " * 900, "# Tabs\n" + "\t*a*\tb\n" * 60])
def test_raw_text_that_was_shown_before_the_layout_leaves_no_trace(
    openai: FakeProvider, size: tuple[int, int], text: str
) -> None:
    pieces = [text[at : at + 400] for at in range(0, len(text), 400)]
    openai.answer(chat_reply(*pieces))
    env = {"TERM": "xterm-256color"}
    with Screen("hi", "--no-usage", command=LATE, columns=size[0], height=size[1], env=env) as screen:
        assert screen.end() == 0
        assert screen.rows == expected(text, *size)


def bare(rows: list[str]) -> str:
    return "".join("".join(rows).split()).replace("─", "").replace("━", "")


BLOCKS = {
    "code": "```text\n" + "".join(f"line {n}\n" for n in range(17)),
    "paragraph": "".join(f"word{n} " for n in range(100)),
    "lines": "".join(f"line {n}\n" for n in range(18)),
    "quote": "".join(f"> line {n}\n" for n in range(18)),
}


@pytest.mark.parametrize("size", [(80, 12), (40, 24), (60, 24), (80, 30), (120, 24)], ids=str)
@pytest.mark.parametrize("name", BLOCKS)
def test_a_resize_in_mid_reply_leaves_no_second_copy_of_the_open_block(name: str, size: tuple[int, int]) -> None:
    layout = Layout(Look(None))
    terminal = Terminal(80, 24)
    document, region = Document(layout), Region(terminal.write, terminal.size)
    text = BLOCKS[name]
    document.feed("# Head\n\n" + text)
    region.draw(document.open(80, 24), document.final(80))
    region.draw(document.open(80, 24))
    terminal.resize(*size)
    document.feed("*more*")
    region.draw(document.open(*size))
    document.feed("\n")
    region.draw((), document.rest(size[0]))
    assert bare(terminal.rows()) == bare(whole("# Head\n\n" + text + "*more*\n", layout, size[0]))


_MUCH = """
import resource
from llmcli.messages import TextDelta
from llmcli.render.markdown.renderer import MarkdownRenderer
from llmcli.render.markdown.theme import find_look
from llmcli.result import Result
from tests.bench_markdown import answer, blocks
class Discard:
    is_terminal = True
    def steer(self, text): pass
    def size(self): return 80, 24
renderer = MarkdownRenderer(Discard(), find_look("dark", True, terminal=True))
renderer.event(TextDelta({text}))
renderer.end(Result("m"))
# Not ru_maxrss, which holds what the parent had at the fork.
status = open("/proc/self/status").read()
print(int(status.partition("VmHWM:")[2].split()[0]) // 1024)
"""


@pytest.mark.parametrize("text", ["answer(100_000)", "blocks(10_000)['table']"])
def test_many_lines_at_once_take_little_memory(text: str) -> None:
    program = _MUCH.replace("{text}", text)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=True)
    assert int(done.stdout) < 100, "MiB"
