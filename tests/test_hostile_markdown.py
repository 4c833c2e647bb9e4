"""Replies that are made to break or freeze what draws them are shown all the same, and whole."""

from __future__ import annotations

import re
import sys

import pytest

from llmcli.messages import TextDelta
from llmcli.render.markdown.code import code_lines
from llmcli.render.markdown.document import whole
from llmcli.render.markdown.layout import Layout
from llmcli.render.markdown.parser import make_parser
from llmcli.render.markdown.renderer import MarkdownRenderer
from llmcli.render.markdown.theme import Look
from llmcli.result import Result
from tests.command import llmcli
from tests.fake_provider import FakeProvider, chat_chunk, chat_reply, sse
from tests.pty_terminal import Terminal
from tests.screen import Screen
from tests.test_pause import Screen as Emulated

PLAIN = Layout(Look(None))
DEEP = {
    "emphasis": "*a _b " * 300 + "b_ a* " * 300,
    "strong": "**a __b " * 300 + "b__ a** " * 300,
    "quotes": ">" * 900 + " a\n\nb",
    "quotes with blanks": "> " * 900 + "a\nlazy\n\nb",
    "lists": "".join(f"{'  ' * n}- w{n}\n" for n in range(200)) + "\n# after",
    "lists in one line": "- " * 900 + "a\n- b\n\n# after",
    "numbers in one line": "1. " * 900 + "a\n1. b\n\n# after",
    "lists in quotes": "> - " * 500 + "a\n\n# after",
    "brackets": "[" * 3000 + "a" + "]" * 3000,
    "links": "[" * 900 + "a" + "](x)" * 900,
    "images": "![" * 900 + "a" + "](x)" * 900,
    "a table": "| a |\n|---|\n| " + "*a _b " * 300 + "b_ a* " * 300 + " |\n",
}


def bare(text: str) -> str:
    """Letters and digits alone."""
    return re.sub(r"[\W_]", "", text)


@pytest.mark.parametrize("name", DEEP)
def test_what_is_nested_without_end_is_shown_in_a_pipe(openai: FakeProvider, name: str) -> None:
    openai.answer(chat_reply(DEEP[name]))
    result = llmcli("hi", "--format", "markdown")
    assert (result.code, result.stderr) == (0, "")
    shown = re.sub("x+", "x", bare(result.stdout.decode()).replace("image", ""))  # an address is written once
    assert shown == re.sub("x+", "x", bare(DEEP[name]))


@pytest.mark.parametrize("name", ["emphasis", "lists in one line", "quotes"])
def test_what_is_nested_without_end_is_shown_on_a_terminal(openai: FakeProvider, name: str) -> None:
    text = DEEP[name]
    openai.answer(chat_reply(*(text[at : at + 300] for at in range(0, len(text), 300))))
    with Screen("hi", "-q") as screen:
        assert screen.end() == 0
        assert "Traceback" not in screen.written
        assert bare("".join(screen.rows)) == bare(text)


def test_what_follows_the_depth_is_markdown_again() -> None:
    assert whole(DEEP["lists"], PLAIN, 80)[-2:] == ["after", "━━━━━"]
    assert whole("*a _b " * 300 + "b_ a* " * 300 + "\n\n`x`", PLAIN, 80)[-1] == "`x`"


@pytest.mark.parametrize("mark", ["[", "![", "[a][", "[a](", "[\n"])
def test_a_paragraph_of_brackets_alone_is_text_and_none_is_lost(mark: str) -> None:
    text = "a " + mark * (30_000 // len(mark))
    assert re.sub(r"\s", "", "".join(whole(text, PLAIN, 80))) == re.sub(r"\s", "", text)
    (token,) = (token for token in make_parser().parse(text) if token.type == "inline")
    assert [child.type for child in token.children or ()] == ["text"]


def test_a_long_paragraph_with_ordinary_marks_is_markdown() -> None:
    text = "the *quay*, which is `quick`, see [the book](http://x)\n" * 900
    assert "*" not in " ".join(whole(text, Layout(Look({})), 80))


CODE = {
    "csharp": "a\n" * 10_000,  # each of these takes minutes, or for ever, where nothing bounds it
    "fan": "a" * 100_000,
    "systemd": "\t" * 50_000,
    "autohotkey": "a" + "\n" * 20_000 + "b",
    "cr": "<<A\n" * 5_000,
    "ragel-d": "/*a\n" * 20_000,
    "lilypond": ("a" * 1900 + "\n") * 20,
    "tnt": "a",
}


@pytest.mark.parametrize("language", CODE)
def test_code_that_would_take_for_ever_to_colour_is_shown_without(openai: FakeProvider, language: str) -> None:
    openai.answer(chat_reply(f"```{language}\n", CODE[language], "\n```\n"))
    result = llmcli("hi", "--format", "markdown", "--color", "--theme", "dark")
    assert (result.code, result.stderr) == (0, "")
    first, *lines, last = result.stdout.decode().splitlines()
    assert (language in first, "──" in last) == (True, True)
    assert "\n".join(lines) == CODE[language].expandtabs(4).removesuffix("\n") + "\n" * CODE[language].endswith("\n")


@pytest.mark.parametrize("language", ["python", "c", "json", "html+jinja", "bash", "ruby"])
def test_ordinary_code_is_coloured(language: str) -> None:
    """However much there is of it; only two languages in one have to be short."""
    lines = 100 if "+" in language else 5_000
    code = {"json": '[1, "a"],\n', "html+jinja": "<p>{{ a }}</p>\n"}.get(language, 'if a != "b": run(c, 1)\n') * lines
    rows = code_lines(code, language, lambda name: None)
    assert len(rows) == lines
    assert all(len(row) > 1 for row in rows)


_STUCK_IMPORT = """
import os, sys, threading
from importlib.machinery import ModuleSpec
class Finder:
    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self) if name == "llmcli.render.markdown.layout" else None
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        os.write(2, os.environ.get("STUCK", "").encode())
        threading.Event().wait()
sys.meta_path.insert(0, Finder())
from llmcli.__main__ import main
main()
"""
STUCK = (sys.executable, "-c", _STUCK_IMPORT)


def test_ctrl_c_again_gives_up_the_looks_and_keeps_the_text(provider: FakeProvider) -> None:
    """What would draw the reply never gets ready here, as it would not for a while where there is much to draw."""
    provider.answer(sse(chat_chunk({"content": "# Half\n\n*a*"}), end=None), stall=True)
    provider.answer(chat_reply("more"))
    with Terminal("chat", "-m", "openai:m", "--base-url", provider.url, "--no-usage", command=STUCK) as terminal:
        terminal.say("go")
        terminal.see("\n*a*")
        terminal.press_until_seen("\x03", "interrupted; /continue goes on")
        terminal.see(lambda: terminal.waiting, "the prompt")
        assert terminal.text.count("\n# Half\n\n*a*\ninterrupted;") == 1
        terminal.say("/set format text")
        terminal.say("and now?")
        terminal.see("\nmore\n")
    said = [f"{one['role']}: {one['content']}" for one in provider.requests[-1].body["messages"]]
    assert said == ["user: go", "assistant: # Half\n\n*a*", "user: and now?"]


def test_ctrl_c_while_a_page_is_laid_out_keeps_its_text(openai: FakeProvider) -> None:
    openai.answer(chat_reply("# Whole\n\n*a*"))
    args = ("hi", "--format", "markdown", "--no-usage")
    with Screen(*args, on=("stderr",), command=STUCK, env={"STUCK": "[stuck]\n"}) as screen:
        screen.until(r"\[stuck\]")
        screen.interrupt()
        assert screen.end() == 130
        assert screen.stdout == b"# Whole\n\n*a*\n"
        assert screen.rows[-1] == "error: interrupted"


@pytest.mark.parametrize("fails", ["layout", "import"])
def test_drawing_failure_is_raised_in_the_main_thread(fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **more: object) -> None:
        raise MemoryError

    where = (
        "llmcli.render.markdown.document.Document.rest"
        if fails == "layout"
        else "llmcli.render.markdown.renderer._document"
    )
    monkeypatch.setattr(where, fail)
    screen = Emulated()
    renderer = MarkdownRenderer(screen, Look(None))
    renderer.event(TextDelta("# A\n\n- final\n- *open*\n"))
    renderer.event(TextDelta("end"))
    with pytest.raises(MemoryError):
        renderer.end(Result("m"))
    assert screen.terminal.rows()[-2:] == ["- *open*", "end"]
