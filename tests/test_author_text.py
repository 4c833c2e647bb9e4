"""Markdown on a terminal keeps the author's lines, mathematics and indentation; weight and color show its marks."""

from __future__ import annotations

import re
import time

import pytest

from llmcli.render.markdown.document import whole
from llmcli.render.markdown.layout import Layout
from llmcli.render.markdown.theme import Look, find_look

PLAIN = Layout(Look(None))
COLORED = Layout(find_look("dark", True, terminal=True, environ={}))
SHAPES = Layout(find_look("dark", False, terminal=True, environ={}))
LINKED = Layout(find_look("dark", True, terminal=True, environ={"FORCE_HYPERLINK": "1"}))


def plain(text: str, columns: int = 80) -> list[str]:
    return whole(text, PLAIN, columns)


def colored(text: str, columns: int = 80, layout: Layout = COLORED) -> list[str]:
    """The rows of a coloured look without their colours."""
    return [re.sub(r"\x1b\[[\d;]*m", "", row) for row in whole(text, layout, columns)]


@pytest.mark.parametrize(
    "text",
    [
        "An old silent pond\nA frog jumps into the pond\nSplash! Silence again.",
        "12 Harbour Road\nOld Town\nAB1 2CD",
        "2026-11-25 10:00 INFO  start\n2026-11-25 10:01 WARN  slow",
        "in Just-\nspring          when the world is mud-\n    luscious",
        "Term\n: its definition",
    ],
)
def test_lines_of_a_paragraph_stay_as_they_were_written(text: str) -> None:
    assert plain(text) == text.split("\n")


def test_lines_of_a_paragraph_stay_inside_lists_and_quotes() -> None:
    assert plain("- one\n  two\n- three") == [" • one", "   two", " • three"]
    assert plain("> one\n> two") == ["> one", "> two"]


def test_a_long_line_of_a_paragraph_is_wrapped_and_the_next_line_begins_a_row() -> None:
    assert plain("one two three four\nfive", 10) == ["one two", "three four", "five"]


MATHEMATICS = [
    r"so \(a_1 * b_2 * c\) holds",
    r"so $a_1 * b_2 * c_3$ holds, and $\alpha\_x$ too",
    r"$$\sum_{i=1}^n i * 2 * x_i$$",
    r"\[ x = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a} \]",
    "$$\na &= b \\\\\n- c &= d \\\\\n+ e\n= f\n# g\n$$",
    "\\[\n\\begin{pmatrix}\n1 & 2 \\\\\n> 3 & 4\n\\end{pmatrix}\n\\]",
    "\\begin{align}\nx &= *1* \\\\\n- y &= 2\n\\end{align}",
    "$$ a = b\n+ c * d * e $$",
    "an unclosed one:\n\n$$\na * b * c\n- d",
]


@pytest.mark.parametrize("text", MATHEMATICS)
def test_mathematics_keeps_its_characters_and_lines(text: str) -> None:
    assert plain(text) == text.split("\n")
    assert colored(text) == text.split("\n")


def test_display_mathematics_right_after_a_sentence_is_a_block() -> None:
    assert plain("It is:\n$$\nx - y\n- z\n$$\nwhere *x*") == ["It is:", "", "$$", "x - y", "- z", "$$", "", "where *x*"]
    assert plain("- It is:\n  $$\n  - z\n  $$\n- next") == [" • It is:", "   $$", "   - z", "   $$", " • next"]


@pytest.mark.parametrize("formula", ["$|x|$", r"\(|x|\)", "$P(A|B)$", r"$\|x\|$"])
def test_a_bar_inside_mathematics_does_not_end_a_cell(formula: str) -> None:
    assert plain(f"| a | b |\n|---|---|\n| {formula} | 1 |")[2].split() == [*formula.split(), "1"]
    assert plain(f"| {formula} | b |\n|---|---|\n| x | 1 |")[0].split() == [*formula.split(), "b"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("it costs $5 or *maybe* $10", "it costs $5 or maybe $10"),
        ("set $HOME and *then* $PATH", "set $HOME and then $PATH"),
        (r"- \[ \] an *escaped* box", " • [ ] an escaped box"),
        (r"\[no link\](http://x.y) *a*", "[no link](http://x.y) a"),
        (r"\[1] Author, *Title*", "[1] Author, Title"),
        ("`$x` and `$y`", "$x and $y"),
        (r"\$a *b* \$c", "$a b $c"),
    ],
)
def test_a_dollar_or_bracket_that_is_no_mathematics_changes_nothing(text: str, shown: str) -> None:
    assert colored(text) == [shown]


def test_money_in_a_table_ends_its_cells() -> None:
    assert plain("| a | b |\n|---|---|\n|$5|$10|")[2].split() == ["$5", "$10"]


def test_indented_code_gets_no_fences() -> None:
    assert plain("Run:\n\n    make\n\n    make test\n\nend") == ["Run:", "", "    make", "", "    make test", "", "end"]
    assert colored("    make  *all*") == ["    make  *all*"]


@pytest.mark.parametrize("level", [3, 4, 5, 6])
@pytest.mark.parametrize("layout", [COLORED, SHAPES], ids=["coloured", "without colour"])
def test_a_lower_heading_is_bold_and_has_no_hashes(level: int, layout: Layout) -> None:
    (row,) = whole(f"{'#' * level} Name", layout, 80)
    assert re.fullmatch(r"\x1b\[1(;[\d;]*)?mName\x1b\[0m", row)


def test_a_lower_heading_keeps_its_hashes_where_nothing_else_can_tell_it() -> None:
    assert plain("### Name") == ["### Name"]


def test_inline_code_is_shown_by_colour_or_else_by_backticks() -> None:
    assert colored("run `make`") == ["run make"]
    assert colored("run `make`", layout=SHAPES) == ["run `make`"]
    assert plain("run `make` and `` a`b ``") == ["run `make` and ``a`b``"]


def test_inline_code_does_not_widen_a_column() -> None:
    assert colored("| a |\n|---|\n| `make` |\n| b |")[1] == "────"


def test_fences_are_rules_in_colour_and_fences_without() -> None:
    code = "```python\nx = 1\n```"
    first, line, last = colored(code)
    assert re.fullmatch("─+ python ─+", first)
    assert whole(code, COLORED, 80)[0].startswith("\x1b[")  # less visible than the code
    assert (line, set(last)) == ("x = 1", {"─"})
    assert len(first) == len(last)
    assert plain(code) == colored(code, layout=SHAPES) == code.split("\n")


def test_a_link_in_a_heading_shows_its_text_and_its_address_below() -> None:
    assert plain("# See [the book](http://b.example/x)") == ["See the book", "━━━━━━━━━━━━", "http://b.example/x"]
    assert plain("### [a](http://b) [c](http://b)") == ["### a c", "http://b"]


def test_an_address_is_written_once_in_a_paragraph() -> None:
    assert plain("[a](http://x) and [b](http://x), [c](http://y)") == ["a (http://x) and b, c (http://y)"]


def test_a_terminal_that_knows_hyperlinks_gets_the_address_as_one() -> None:
    (row,) = whole("[the book](http://b.example/x)", LINKED, 80)
    assert re.search(r"\x1b\]8;id=\w+;http://b\.example/x\x1b\\.*the book.*\x1b\]8;;\x1b\\", row)
    assert "(http" not in row
    head = whole("# [the book](http://b.example/x)", LINKED, 80)
    assert len(head) == 2


@pytest.mark.parametrize("url", ["javascript:x", "http://a b", "file:///etc/passwd", "ftp://x.y"])
def test_only_web_and_mail_addresses_become_hyperlinks(url: str) -> None:
    assert "\x1b]8;id" not in "".join(whole(f"[w](<{url}>)", LINKED, 80)).replace("%20", " ")[:9] or " " in url


def test_a_hyperlink_whose_words_name_another_address_shows_its_own() -> None:
    (row,) = colored("[bank.example](http://evil.example)", layout=LINKED)
    assert "(http://evil.example)" in row


@pytest.mark.parametrize(
    ("environ", "known"),
    [
        ({"VTE_VERSION": "7600"}, True),
        ({"VTE_VERSION": "4800"}, False),
        ({"TERM_PROGRAM": "WezTerm"}, True),
        ({"TERM": "xterm-kitty"}, True),
        ({"TERM": "tmux-256color", "KITTY_WINDOW_ID": "1"}, False),
        ({"TERM_PROGRAM": "vscode", "FORCE_HYPERLINK": "0"}, False),
        ({"TERM": "xterm-256color"}, False),
    ],
)
def test_terminals_that_know_hyperlinks(environ: dict[str, str], known: bool) -> None:
    assert find_look("dark", None, terminal=True, environ=environ).hyperlinks is known


def test_pieces_of_one_giant_block_are_laid_out_without_a_seam() -> None:
    for head, line in (("```python\n", "x = 1"), ("", "words of a paragraph"), ("", "> quoted"), ("", "    code")):
        count = 30_000
        rows = plain(head + f"{line}\n" * count)
        assert sum(row.strip() == line.strip() for row in rows) == count
        assert len(rows) == count + 2 * bool(head)
    rows = plain("| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 20_000)
    assert sum(row.split() == ["1", "2"] for row in rows) == 20_000
    assert "" not in rows


@pytest.mark.parametrize(
    "text", ["|\n---\n" * 9000, "- item $a$ of *a* list\n" * 3000, "$a|b$\n-|-\n" * 4000, "$$\n" * 20_000]
)
def test_lines_that_resemble_tables_and_mathematics_take_a_time_in_proportion(text: str) -> None:
    begun = time.process_time()
    plain(text[: len(text) // 8])
    small = time.process_time() - begun
    begun = time.process_time()
    plain(text)
    assert time.process_time() - begun < 40 * max(small, 0.02)
