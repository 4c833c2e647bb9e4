"""Markdown that grows leaves on the screen, and in its scrollback, what one rendering of the whole text leaves."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcli.render.markdown.document import Document, whole
from llmcli.render.markdown.layout import Layout
from llmcli.render.markdown.theme import Look, find_look
from llmcli.render.region import Region
from tests.terminal import Terminal

COLORED = Layout(find_look("dark", True, terminal=True))
PLAIN = Layout(Look(None))

CODE = "```python\ndef f(x: int) -> str:\n    '''Say\n\n    it.'''\n    return f\"{x}\"  # é\n```\n"
TALL = "".join(f"    call({n}, '表示')  # {'x' * (n % 70)}\n" for n in range(90))
ELEMENTS = {
    "headings": "# One *x*\n\n## Two `y`\ntext\n\n### Three\n\n###### Six\n\nSetext\n===\n\nAlso\nlong\n---\n#\n",
    "list": "- a\n- b\n  - c\n    - d\n      more\n  - e\n* other\n* list\n",
    "loose list": "- a\n\n  second\n\n- b\n- c\n\n\n- d\n\nafter\n",
    "ordered list": "".join(f"{n}. item\n" for n in range(7, 13)) + "\n1) other\n1) all ones\n1) three\n",
    "list with code": (
        "1. Do:\n\n   ```py\n   def f():\n       return 'a'\n   ```\n2. Then\n   ```\n   x\n   ```\n3. done\n"
    ),
    "long list": "".join(f"{n}. **item** {n}: {'words ' * (n % 9)}\n" for n in range(1, 60)),
    "tasks": "- [ ] open\n- [x] done\n",
    "table": "# T\n| a | b | c |\n|:--|:-:|--:|\n| 1 | **two** | `3` |\n| long words | 表示 | x |\n| | | |\n\nz\n",
    "wide table": f"| {'a | ' * 12}\n|{'--|' * 12}\n| {'long cell | ' * 12}\n",
    "quotes": "> a\nlazy\n> > b\n>\n> - c\n>\n> ```\n> code\n> ```\n\n>\n> # h\n",
    "rules": "a\n\n---\n\n***\nb\n\n- - -\n",
    "code": f"Look:\n{CODE}and\n\n    indented\n\n    code\n\nend\n",
    "unknown language": "```no-such\nx = 1\n```\n\n~~~ {.ruby} title\nputs 1\n~~~~\n",
    "nested fences": "````md\n```\nx\n```\n````\n",
    "open fence": "text\n\n```js\nlet x = `\n\n# no heading\n",
    "tall code": f"Look\n\n```python\n{TALL}```\n\nend\n",
    "tall open code": f"```c\n/* a comment\n{TALL}",
    "tall table": "| n | square |\n|--:|---|\n" + "".join(f"| {n} | {n * n} |\n" for n in range(70)) + "\nend",
    "tall paragraph": "words of *one* paragraph that `never ends` " * 60,
    "tall quote": "".join(f"> - line {n}\n" for n in range(60)),
    "long line": "x" * 700 + "\n\n```\n" + "表" * 300 + "\n" + "y" * 300 + "\n```\n",
    "links": "[a](http://x.y/z 'title'), <http://auto.link>, <me@x.y>, ![pic](http://i/p.png), [e](), [j](data:x)\n",
    "definitions": "[a]: http://first\n[a]: http://second\n\n[a] and [b]\n\n[b]: http://same-region\n\nlast [a]\n",
    "html": "<div>\n*a*\n</div>\n\na<br>b <b>c</b> <kbd>x</kbd>\n\n<!-- c\n\nd -->\n",
    "wide": "日本語のテキスト、 " * 9 + "\n\n- 表示\n",
    "emoji": "👩‍👩‍👧 ✅ ❤️ 🇩🇪 👍🏽 " * 9 + "\n\n# 🐟 fish\n\n- 1️⃣ one\n",
    "combining": "e\u0301a\u0308 นี้ हिन्दी \u200b" * 9 + "\n",
    "breaks": "a  \nb\\\nc\nd\n",
    "emphasis": "*a* **b** ***c*** ~~d~~ _e_ `f` `` g`h `` *open **both\n",
    "hostile": "a\x1b[2Jb\x07\x9b2J &#27;[31m &#x202e;x [bold]y[/bold] [link=http://z]w[/link] :smile:\n",
    "crlf": "# a\r\n\r\n- b\r\n- c\r\n",
    "undecided": "a\n#\n\nb\n-\n- c\n2\n\n1.\n2. x\n***\n",
    "nothing": "\n\n \n",
    "deep": ">" * 60 + " a\n\n" + "".join(f"{'  ' * n}- x\n" for n in range(30)),
}
SCREENS = [(20, 6), (47, 14), (120, 30)]


def streamed(pieces: Iterable[str], layout: Layout, terminal: Terminal, *, frames: Iterable[bool] = ()) -> None:
    """Draw a frame after each piece, or only after those that `frames` says."""
    document, region, wanted = Document(layout), Region(terminal.write, terminal.size), iter(frames)
    for piece in pieces:
        document.feed(piece)
        if next(wanted, True):
            final = []
            while found := document.final(terminal.columns):
                final += found
            region.draw(document.open(terminal.columns, terminal.height), final)
    region.draw((), document.rest(terminal.columns))


def once(text: str, layout: Layout, columns: int, height: int) -> Terminal:
    terminal = Terminal(columns, height)
    terminal.write("".join(f"{line}\n" for line in whole(text, layout, columns)))
    return terminal


def cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@pytest.mark.parametrize("name", ELEMENTS)
@pytest.mark.parametrize("screen", SCREENS, ids=str)
def test_every_element_ends_as_one_rendering(name: str, screen: tuple[int, int]) -> None:
    text = ELEMENTS[name]
    expected = once(text, COLORED, *screen)
    for size in (61,) if len(text) > 400 else (1, 7):
        terminal = Terminal(*screen)
        streamed(cut(text, size), COLORED, terminal)
        assert terminal.rows() == expected.rows()
        assert terminal.looks() == expected.looks()


WORDS = (
    *(
        "word",
        "longerword",
        "*em*",
        "**strong**",
        "`code`",
        "`` a`b ``",
        "[link](http://x.y/z)",
        "表示",
        "👩‍👩‍👧",
        "e\u0301",
    ),
    *(
        "&#27;[31m",
        "<br>",
        "<div>",
        "~~s~~",
        "\\*",
        "![i](http://i)",
        "x" * 30,
        "|",
        "`",
        "*",
        "_",
        "[",
        "](",
        "\t",
        "&#10;",
    ),
    *("1.", "-", "#", "\u202e", "<!-- c -->", "❤️", "\\", "&amp;"),
    *("$a*b*$", "$|x|$", "$5", "$", "\\(a_b_\\)", "\\[x", "y\\]", "$$", "$$z$$", "\ufdd0"),
)
words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join)
starts = st.sampled_from(
    [
        *(
            "",
            "",
            "",
            "# ",
            "### ",
            "- ",
            "* ",
            "1. ",
            "2) ",
            "> ",
            ">> ",
            "    ",
            "\t",
            "  - ",
            "   ",
            "     1. ",
            "> - ",
        ),
        *(
            "> ```",
            ">     ",
            "```",
            "```python ",
            "~~~",
            "| ",
            "|--|--|",
            "---",
            "===",
            "***",
            "-",
            "2.",
            "<details>",
            "-\t",
            "$$",
            "\\[",
            "> $$",
            "- $$",
            "\\begin{align}",
            "\\end{align}",
        ),
    ]
)
lines = st.one_of(st.just(""), st.builds(str.__add__, starts, words), starts)
blocks = st.one_of(
    st.lists(lines, max_size=12).map("\n".join),
    st.lists(words, min_size=1, max_size=9).map(
        lambda rows: "| a | b |\n|--|-:|\n" + "\n".join(f"| {r} | x |" for r in rows)
    ),
    st.lists(words, max_size=30).map(lambda rows: "```python\n" + "\n".join(rows) + "\n```"),
    st.lists(words, min_size=1, max_size=12).map(
        lambda rows: "\n".join(f"{n}. {row}" for n, row in enumerate(rows, 8))
    ),
    st.lists(words, min_size=1, max_size=12).map(lambda rows: "\n\n".join(f"- {row}\n  more" for row in rows)),
)
texts = st.lists(blocks, max_size=6).map("\n\n".join)


@settings(max_examples=60, deadline=None)
@given(
    text=texts,
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=30),
    frames=st.lists(st.booleans()),
    columns=st.sampled_from([8, 20, 47, 80, 120]),
    height=st.sampled_from([6, 14, 30]),
    layout=st.sampled_from([COLORED, PLAIN]),
)
def test_any_text_in_any_pieces_ends_as_one_rendering(
    text: str, sizes: list[int], frames: list[bool], columns: int, height: int, layout: Layout
) -> None:
    pieces: list[str] = []
    at = 0
    while at < len(text):
        pieces.append(text[at : at + sizes[len(pieces) % len(sizes)]])
        at += len(pieces[-1])
    terminal, expected = Terminal(columns, height), once(text, layout, columns, height)
    streamed(pieces, layout, terminal, frames=frames)
    assert terminal.rows() == expected.rows()
    assert terminal.looks() == expected.looks()


@settings(max_examples=40, deadline=None)
@given(
    text=texts,
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=30),
    frames=st.lists(st.booleans()),
    largest=st.sampled_from([1, 40, 200]),
    layout=st.sampled_from([COLORED, PLAIN]),
)
def test_blocks_that_are_laid_out_in_parts_end_as_one_rendering(
    text: str, sizes: list[int], frames: list[bool], largest: int, layout: Layout
) -> None:
    pieces: list[str] = []
    at = 0
    while at < len(text):
        pieces.append(text[at : at + sizes[len(pieces) % len(sizes)]])
        at += len(pieces[-1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("llmcli.render.markdown.document.LARGEST", largest)
        terminal, expected = Terminal(47, 14), once(text, layout, 47, 14)
        streamed(pieces, layout, terminal, frames=frames)
    assert terminal.rows() == expected.rows()
    assert terminal.looks() == expected.looks()


def bare(rows: Iterable[str]) -> str:
    """The text alone: what changes with the width is left out."""
    return re.sub(r"[\s━─]", "", "".join(rows))


@pytest.mark.parametrize(
    "name", sorted(ELEMENTS.keys() - {"wide table", "tall open code", "tall code", "deep", "emoji"})
)
@pytest.mark.parametrize("columns", [30, 110])
def test_a_resize_in_the_middle_loses_nothing_and_repeats_nothing(name: str, columns: int) -> None:
    text = ELEMENTS[name]
    terminal = Terminal(60, 40)
    document, region = Document(PLAIN), Region(terminal.write, terminal.size)
    for place, piece in enumerate(cut(text, max(1, len(text) // 10))):
        if place == 5:
            terminal.resize(columns, 80)
        document.feed(piece)
        final = document.final(terminal.columns)
        region.draw(document.open(*terminal.size()), final)
    region.draw((), document.rest(terminal.columns))
    assert bare(terminal.rows()) == bare(once(text, PLAIN, columns, 80).rows())


def test_final_lines_come_once_and_the_open_end_is_all_that_is_laid_out_again() -> None:
    document = Document(PLAIN)
    document.feed("# a\n\nb\n\n- c\n- d\n- e")
    assert document.final(80) == ["a", "━", "", "b", "", " • c"]
    assert document.open(80, 24) == [" • d", " • e"]
    assert document.final(80) == []
    document.feed("\n")
    assert document.final(80) == [" • d"]
    assert document.rest(80) == [" • e"]


@pytest.mark.parametrize("head", ["```python\n", "| a |\n|---|\n"])
def test_of_a_giant_block_only_the_end_is_laid_out_while_it_grows(head: str) -> None:
    document = Document(PLAIN)
    document.feed("first\n\n" + head + "| 1 |\n" * 4000)
    document.final(80)
    assert len(document.open(80, 24)) < 60


def test_code_is_copied_as_it_is() -> None:
    code = ["def f():", "    return 1", "", "x = '" + "y" * 200 + "'"]
    out = whole("```python\n" + "\n".join(code) + "\n```\n", COLORED, 40)
    assert [re.sub(r"\x1b\[[\d;]*m", "", line) for line in out][1:-1] == code


def test_no_word_is_lost() -> None:
    for name in ("html", "links", "table", "wide table", "quotes", "hostile"):
        shown = bare(whole(ELEMENTS[name], PLAIN, 120))
        for word in re.findall(r"\w+", re.sub(r"&#.*?;|<br>|\x1b|'title'", " ", ELEMENTS[name])):
            assert word in shown, (name, word)


def test_only_colours_and_moves_of_our_own_reach_the_terminal() -> None:
    terminal = Terminal(60, 10)
    hostile = ELEMENTS["hostile"]
    streamed(
        cut(f"{hostile}\n`{hostile}`\n\n```{hostile}{hostile}```\n\n[{hostile}](http://x/{hostile})", 5),
        COLORED,
        terminal,
    )
    sent = "".join(terminal.frames)
    assert set(re.findall(r"\x1b(?!\[[\d;]*m|\[\d+[AB]|\[[JK]|\[\?7[lh]).{0,9}", sent)) == set()
    assert not re.search("[\x00-\x09\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e]", sent)
    assert "[bold]y[/bold] [link=http://z]w[/link] :smile:" in re.sub(r"\x1b\[[\d;]*m", "", sent)


def test_a_link_shows_where_it_leads() -> None:
    def shown(text: str) -> str:
        return whole(text, PLAIN, 80)[0]

    assert shown("[bank.example](http://evil.example)") == "bank.example (http://evil.example)"
    assert shown("<http://a.example>, <me@a.example>") == "http://a.example, me@a.example"
    assert shown("[](http://a.example)") == "http://a.example"


def test_without_colours_marks_say_what_is_what() -> None:
    shown = "\n".join(whole("## h\n\n### i\n\n*a* **b** ~~c~~ `d`\n\n> q\n", PLAIN, 80))
    assert shown == "h\n─\n\n### i\n\n*a* **b** ~~c~~ `d`\n\n> q"


def test_themes() -> None:
    assert find_look("auto", None, terminal=True, environ={"COLORFGBG": "0;15"}).style("code") == "color(94)"
    assert find_look("auto", None, terminal=True, environ={"COLORFGBG": "15;default;0"}).style("code") == "color(222)"
    assert find_look("auto", None, terminal=True, environ={}).style("code") == "cyan"
    plain = find_look("dark", None, terminal=True, environ={"NO_COLOR": "1"})
    assert (plain.style("code"), plain.style("strong")) == ("", "bold")
    assert find_look("dark", True, terminal=True, environ={"NO_COLOR": "1"}).style("code") == "color(222)"
    assert find_look("dark", None, terminal=False, environ={}).styles is None
    assert find_look("dark", None, terminal=True, environ={}).style("Keyword.Declaration") == "color(176)"
