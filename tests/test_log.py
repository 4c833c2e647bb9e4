"""`llmcli log` and `llmcli usage`: what the real command shows, finds, deletes, exports and imports."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.command import llmcli
from tests.fake_provider import FakeProvider, chat_reply
from tests.pty_terminal import Terminal


@pytest.fixture
def saved(openai: FakeProvider) -> FakeProvider:
    """Two saved conversations: `tea` with two turns, and one without a name."""
    openai.answer(chat_reply("Boil *water*.", "\n```sh\nls\n```\n"))
    llmcli("--session", "tea", "-s", "Be brief.", "How to make 茶 in a red pot?")
    llmcli("--session", "tea", "And with milk?")
    llmcli("--save", "Tell me of \x1b[31mred\x1b[0m pots")
    return openai


def test_list_shows_the_latest_first(saved: FakeProvider) -> None:
    found = llmcli("log", "list", "--json").json
    assert [(one["name"], one["turns"], one["total_tokens"], one["cost_usd"]) for one in found] == [
        (None, 1, 11, None),
        ("tea", 2, 22, None),
    ]
    assert list(found[0]) == [
        *("id", "name", "title", "model", "created", "updated", "turns", "total_tokens", "cost_usd", "folder")
    ]
    assert (found[1]["title"], found[1]["model"]) == ("How to make 茶 in a red pot?", "openai:fake-1")
    assert found[1]["folder"] == os.getcwd()
    assert len(llmcli("logs", "--limit", "1", "--json").json) == 1
    table = llmcli("log").stdout.decode()
    assert "tea" in table
    assert "\x1b" not in table


def test_list_without_a_database_makes_none() -> None:
    done = llmcli("log", "list", "--json")
    assert (done.code, done.json) == (0, [])
    assert not Path(os.environ["LLMCLI_HOME"], "data").exists()


@pytest.mark.parametrize("form", ["markdown", "text", "json"])
def test_show_prints_a_conversation(form: str, saved: FakeProvider) -> None:
    done = llmcli("log", "show", "tea", "--format", form)
    text = done.stdout.decode()
    for words in ("How to make 茶", "And with milk?", "Boil *water*."):
        assert words in text
    if form == "json":
        assert [one["kind"] for one in done.json["messages"]] == ["request", "response"] * 2
        assert [one["first"] for one in done.json["turns"]] == [0, 2]


def test_bare_show_is_the_last_one_and_x_its_code(saved: FakeProvider) -> None:
    assert b"pots" in llmcli("log", "show").stdout
    assert llmcli("log", "show", "-x").stdout == b"ls\n"
    assert b"milk" in llmcli("log", "show", "last~1").stdout


def test_show_on_a_terminal_has_no_control_characters_of_the_saved_text(saved: FakeProvider) -> None:
    with Terminal("log", "show", "last", env={"PAGER": "cat"}) as terminal:
        terminal.see("pots")
        assert terminal.process.wait(60) == 0
    assert b"\x1b[31mred" not in terminal.raw


def test_long_output_goes_to_the_pager(saved: FakeProvider, tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text(f"#!/bin/sh\ncat > {tmp_path}/paged\n")
    pager.chmod(0o700)
    with Terminal("log", "show", "tea", env={"PAGER": str(pager)}, rows=5) as terminal:
        assert terminal.process.wait(60) == 0
    assert "milk" in (tmp_path / "paged").read_text()


def test_an_unknown_conversation_is_wrong_use(saved: FakeProvider) -> None:
    for args in (["show", "absent"], ["rm", "absent", "--yes"], ["rename", "absent", "x"], ["export", "absent"]):
        assert llmcli("log", *args).code == 2, args


def test_search_shows_the_words_around(saved: FakeProvider) -> None:
    found = llmcli("log", "search", "RED", "pot", "--json").json
    assert [one["name"] for one in found] == [None, "tea"]
    assert llmcli("log", "search", "茶").stdout.decode().count("\n") == 2
    nothing = llmcli("log", "search", "absent")
    assert (nothing.code, nothing.stdout) == (0, b"")
    with Terminal("log", "search", "milk", env={"PAGER": "cat"}) as terminal:
        terminal.see("milk")
        assert terminal.process.wait(60) == 0
    assert b"\x1b[1;33mmilk\x1b[0m" in terminal.raw


def test_rename_and_continue_by_the_new_name(saved: FakeProvider) -> None:
    assert llmcli("log", "rename", "tea", "Green tea").code == 0
    assert llmcli("log", "rename", "last", "Green tea").code == 2
    assert b"milk" in llmcli("log", "show", "Green tea").stdout


def test_rm_needs_yes_without_a_terminal_and_leaves_no_text(saved: FakeProvider) -> None:
    refused = llmcli("log", "rm", "tea")
    assert refused.code == 2
    assert "--yes" in refused.stderr
    assert llmcli("log", "rm", "tea", "--yes").code == 0
    for file in Path(os.environ["LLMCLI_HOME"], "data").iterdir():
        content = file.read_bytes()
        assert b"milk" not in content
        assert "茶".encode() not in content
        assert b"Be brief" not in content
    assert [one["name"] for one in llmcli("log", "--json").json] == [None]


def test_rm_asks_on_a_terminal(saved: FakeProvider) -> None:
    for answer, left in (("n", 2), ("y", 1)):
        with Terminal("log", "rm", "tea") as terminal:
            terminal.see("Delete tea? [y/N]")
            terminal.type(f"{answer}\r")
            assert terminal.process.wait(60) == 0
        assert len(llmcli("log", "--json").json) == left


def test_prune_deletes_what_is_older(saved: FakeProvider) -> None:
    file = Path(os.environ["LLMCLI_HOME"], "data", "conversations.db")
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE conversations SET updated = '2020-01-01T00:00:00.000+00:00' WHERE name = 'tea'")
    assert llmcli("log", "prune", "--older-than", "soon").code == 2
    assert llmcli("log", "prune", "--older-than", "30d").code == 2
    assert llmcli("log", "prune", "--older-than", "30d", "--yes").code == 0
    assert [one["name"] for one in llmcli("log", "--json").json] == [None]


def test_keep_prunes_by_itself(saved: FakeProvider) -> None:
    home = Path(os.environ["LLMCLI_HOME"])
    with closing(sqlite3.connect(home / "data" / "conversations.db")) as database, database:
        database.execute("UPDATE conversations SET updated = '2020-01-01T00:00:00.000+00:00' WHERE name = 'tea'")
    (home / "config.toml").write_text('keep = "90d"\n')
    llmcli("--save", "another")
    assert [one["name"] for one in llmcli("log", "--json").json] == [None, None]


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_an_export_is_imported_whole(form: str, saved: FakeProvider, tmp_path: Path) -> None:
    llmcli("--fork", "tea:2", "a fork")
    first = llmcli("log", "export", "--format", form)
    file = tmp_path / "export"
    file.write_bytes(first.stdout)
    again = llmcli("log", "import", str(file))
    assert "imported 0 conversations, 3 were there already" in again.stderr
    other = {"LLMCLI_HOME": str(tmp_path / "other")}
    assert llmcli("log", "import", str(file), env=other).code == 0
    second = llmcli("log", "export", "--format", form, env=other)
    assert first.stdout
    plain = [re.sub(rb'"(?:folder|updated)": [^\n,]*,?', b"", one.stdout) for one in (first, second)]
    assert sorted(plain[0].split(b"\n")) == sorted(plain[1].split(b"\n"))
    assert "3 were there already" in llmcli("log", "import", str(file), env=other).stderr


def test_a_history_of_pydantic_ai_is_imported(tmp_path: Path) -> None:
    history = [
        {
            "kind": "request",
            "parts": [
                {"part_kind": "system-prompt", "content": "Be nice."},
                {"part_kind": "user-prompt", "content": ["see", {"kind": "image-url", "url": "https://x.test/a.png"}]},
            ],
        },
        {
            "kind": "response",
            "parts": [
                {"part_kind": "thinking", "content": "hm", "signature": "s1"},
                {"part_kind": "tool-call", "tool_name": "f", "args": {"a": 1}, "tool_call_id": "c1"},
            ],
            "usage": {"input_tokens": 3, "output_tokens": 4},
            "model_name": "gpt-6",
            "timestamp": "2026-01-02T03:04:05Z",
        },
    ]
    file = tmp_path / "history.json"
    file.write_text(json.dumps(history))
    assert llmcli("log", "import", str(file)).code == 0
    [one] = llmcli("log", "--json").json
    assert (one["title"], one["model"], one["total_tokens"]) == ("see", "gpt-6", 7)
    messages = llmcli("log", "show", "--format", "json").json["messages"]
    assert messages[1]["parts"][0]["signature"] == "s1"
    assert messages[1]["parts"][1]["args"] == {"a": 1}


@pytest.mark.parametrize(
    "content", ["", "nonsense", "[1]", '{"conversations": [1]}', '{"format_version": 9, "conversations": []}']
)
def test_a_file_that_is_no_export_is_wrong_use(content: str, tmp_path: Path) -> None:
    file = tmp_path / "bad"
    file.write_text(content)
    assert llmcli("log", "import", str(file)).code == 2


def test_conversations_of_llm_are_imported_once(tmp_path: Path) -> None:
    file = tmp_path / "logs.db"
    with closing(sqlite3.connect(file)) as database:
        database.executescript(Path(__file__).with_name("llm_logs.sql").read_text())
    done = llmcli("log", "import", "--from", "llm", str(file))
    assert (done.code, done.stderr) == (0, "imported 3 conversations\n")
    found = {one["title"] or one["name"]: one for one in llmcli("log", "--json").json}
    shown = {title: llmcli("log", "show", one["id"], "--format", "json").json for title, one in found.items()}
    texts = {
        title: [part["content"] for message in one["messages"] for part in message["parts"] if "content" in part]
        for title, one in shown.items()
    }
    assert sorted(texts.values(), key=str) == [
        ["Be brief.", "old question", "old answer", "fragment text\nsecond", "two"],
        ["In both?", "Yes, and newer."],
        ["New system", "before A FRAGMENT after", "thinking of it", "new answer", "42"],
    ]
    assert "0 conversations, 3 were there already" in llmcli("log", "import", "--from", "llm", str(file)).stderr


def test_usage_counts_told_and_estimated_cost_apart(saved: FakeProvider) -> None:
    told = {"prompt_tokens": 8, "completion_tokens": 3, "cost": 0.5}
    saved.answers[:] = []
    saved.answer(chat_reply("x", usage=told))
    llmcli(
        "-m",
        "openrouter:a/b",
        "hi",
        env={"LLMCLI_OPENROUTER_BASE_URL": f"{saved.url}/v1", "OPENROUTER_API_KEY": "sk-or-0123456789"},
    )
    llmcli("-m", "openai:gpt-4o", "hi")
    found = {one["model"]: one for one in llmcli("usage", "--json").json}
    assert found["openrouter:a/b"]["cost_told_usd"] == 0.5
    assert found["openai:gpt-4o"]["cost_told_usd"] in (None, 0.5)
    fake = found["openai:fake-1"]
    assert (fake["requests"], fake["requests_unknown"], fake["cost_est_usd"]) == (3, 3, None)
    assert (fake["request_tokens"], fake["response_tokens"], fake["total_tokens"]) == (24, 9, 33)
    by_provider = {one["provider"]: one["requests"] for one in llmcli("usage", "--by", "provider", "--json").json}
    assert by_provider == {"openai": 4, "openrouter": 1}
    assert [one["requests"] for one in llmcli("usage", "--by", "day", "--since", "7d", "--json").json] == [5]
    by_conversation = {
        one["conversation"]: one["requests"] for one in llmcli("usage", "--by", "conversation", "--json").json
    }
    assert by_conversation["tea"] == 2
    assert by_conversation[None] == 2
    assert llmcli("usage", "--by", "colour").code == 2
    with Terminal("usage", columns=120) as terminal:
        terminal.see("█")
        assert terminal.process.wait(60) == 0


HOSTILE = (
    "<script>document.title='owned'</script> <img src=x onerror=alert(1)>\n\n![pixel](https://tracker.test/a.png)\n\n"
    "[click](javascript:alert(1)) [ok](https://ok.test/?a=1&b=2)\n\n```html\n<script>alert(2)</script>\n```\n\n"
    "`</code><script>` \u202eevil\u0000 ![x](data:text/html,<script>alert(3)</script>)\n\n```py\nimport os\n```\n"
)


def test_the_html_export_stands_by_itself(openai: FakeProvider) -> None:
    openai.answer(chat_reply(HOSTILE))
    llmcli("--session", "</title><script>alert(4)</script>", HOSTILE.replace("\0", ""))
    page = llmcli("log", "export", "--format", "html").stdout.decode()
    assert "<script" not in page
    assert "<img" not in page
    assert 'href="javascript:' not in page
    assert '<a href="https://tracker.test/a.png"' in page
    assert 'content="default-src &#x27;none&#x27;; img-src data:' in page
    assert "prefers-color-scheme: dark" in page
    assert '<span class="kn">import</span>' in page
    assert not re.search(r"""\bsrc=["'](?!data:image/)""", page)
    assert "\u202e" not in page


def test_the_html_export_runs_and_requests_nothing_in_a_browser(openai: FakeProvider, tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not browser:
        pytest.skip("no Chromium is installed")
    watched = f"http://127.0.0.1:{openai.url.rpartition(':')[2]}/pixel.png"
    openai.answer(chat_reply(HOSTILE.replace("https://tracker.test/a.png", watched)))
    llmcli("--save", HOSTILE.replace("\0", "").replace("https://tracker.test/a.png", watched))
    page = tmp_path / "page.html"
    page.write_bytes(llmcli("log", "export", "--format", "html").stdout)
    before = len(openai.requests)
    done = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"),
            *("--enable-logging=stderr", "--virtual-time-budget=2000", "--dump-dom", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "<title>owned" not in done.stdout
    assert "Exported by llmcli" in done.stdout
    assert len(openai.requests) == before
    assert "Content Security Policy" not in done.stderr  # nothing even tried


def test_import_from_a_path_that_is_none_says_so(tmp_path: Path) -> None:
    assert llmcli("log", "import", "--from", "llm", str(tmp_path / "absent.db")).code == 2
    assert llmcli("log", "import", "--from", "other").code == 2
    assert llmcli("log", "import").code == 2
