"""Prompt files: front matter, places, permission for those of a repository, and precedence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import llmcli
from tests.fake_provider import FakeProvider, chat_reply
from tests.pty_terminal import Terminal


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def filled(*args: str, stdin: bytes = b"") -> str:
    result = llmcli("-m", "test:echo", "--no-usage", *args, stdin=stdin)
    assert result.code == 0, result.stderr
    return result.stdout.decode()


def test_words_and_stdin_take_the_place_of_input(home: Path) -> None:
    write(home / "templates" / "fix.md", "Fix this:\n\n{{input}}\n\nThank you.\n")
    assert filled("-t", "fix", "the words", stdin=b"a {{name}}\n") == (
        "Fix this:\n\nthe words\n\na {{name}}\n\n\nThank you.\n"
    )


def test_input_follows_after_a_blank_line_where_it_has_no_place(home: Path) -> None:
    write(home / "templates" / "fix.md", "Fix this.\n")
    assert filled("-t", "fix", "it") == "Fix this.\n\nit\n"
    assert filled("-t", "fix") == "Fix this.\n"


def test_params_fill_places_and_have_defaults(home: Path) -> None:
    write(home / "templates" / "tr.md", '+++\n[params]\nto = "French"\nn = 3\n+++\n{{n}} {{to}} {{tone}} {{ input }}')
    assert filled("-t", "tr", "--param", "tone=a=b", "x") == "3 French a=b x\n"
    assert filled("-t", "tr", "--param", "tone=t", "--param", "to=Greek", "x") == "3 Greek t x\n"
    missing = llmcli("-m", "test:echo", "-t", "tr", "x")
    assert (missing.code, missing.stdout) == (2, b"")
    assert "{{tone}}" in missing.stderr
    assert "--param tone=VALUE" in missing.stderr
    unknown = llmcli("-m", "test:echo", "-t", "tr", "--param", "tine=x", "x")
    assert unknown.code == 2
    assert "did you mean tone?" in unknown.stderr
    assert llmcli("-m", "test:echo", "-t", "tr", "--param", "tone", "x").code == 2
    assert llmcli("-m", "test:echo", "--param", "tone=x", "x").code == 2


def test_input_that_is_missing_is_wrong_use(home: Path) -> None:
    write(home / "templates" / "fix.md", "Fix: {{input}}")
    result = llmcli("-m", "test:echo", "-t", "fix")
    assert result.code == 2
    assert "needs an input" in result.stderr
    write(Path("a.txt"), "text")
    assert filled("-t", "fix", "-f", "a.txt") == "a.txt:\n```\ntext\n```\n\nFix: \n"


def test_unknown_prompt_file_is_wrong_use() -> None:
    result = llmcli("-m", "test:echo", "-t", "comit", "x")
    assert result.code == 2
    assert "did you mean commit?" in result.stderr
    assert llmcli("-m", "test:echo", "-t", "./nowhere", "x").code == 2


def test_front_matter_goes_between_option_and_environment(openai: FakeProvider, home: Path) -> None:
    openai.answer(chat_reply("ok"))
    write(home / "config.toml", "[defaults]\ntemperature = 0.1\nseed = 1\n")
    write(
        home / "templates" / "t.md",
        '+++\nmodel = "openai:of-template"\nsystem = "Be brief."\ntemperature = 0.2\nmax_tokens = 7\n+++\n{{input}}',
    )
    env = {"LLMCLI_TEMPERATURE": "0.15", "LLMCLI_MODEL": "openai:of-env"}
    assert llmcli("-t", "t", "--max-tokens", "9", "hi", env=env).code == 0
    body = openai.requests[0].body
    assert body["model"] == "of-template"
    assert body["messages"][0]["content"] == "Be brief."
    assert (body["temperature"], body["seed"]) == (0.2, 1)
    assert 9 in (body.get("max_tokens"), body.get("max_completion_tokens"))
    assert llmcli("-t", "t", "-m", "openai:of-option", "hi", env=env).code == 0
    assert openai.requests[1].body["model"] == "of-option"


@pytest.mark.parametrize(
    "line",
    [
        'base_url = "http://127.0.0.1:1"',
        'proxy = "http://127.0.0.1:1"',
        'api_key_file = "/etc/passwd"',
        'ca_file = "x.pem"',
        "allow_secrets = true",
        "allow_unknown_cost = true",
        'file = ["/etc/passwd"]',
        'attach = ["/etc/passwd"]',
        'key_command = "id"',
        'allow = ["*"]',
        'option = ["a=b"]',
        "yes = true",
        'system = "@/etc/passwd"',
        "temperature = -1",
        "nonsense = 1",
        "temperature =",
    ],
)
def test_front_matter_that_grants_addresses_or_opens_is_refused(home: Path, line: str) -> None:
    write(home / "templates" / "bad.md", f"+++\n{line}\n+++\n{{{{input}}}}")
    result = llmcli("-m", "test:echo", "-t", "bad", "hi")
    assert (result.code, result.stdout) == (3, b"")
    assert "bad" in result.stderr


def test_front_matter_without_an_end_is_refused(home: Path) -> None:
    write(home / "templates" / "bad.md", "+++\nseed = 1\nprompt")
    assert llmcli("-m", "test:echo", "-t", "bad", "hi").code == 3


def test_prompt_file_of_a_repository_needs_permission_for_its_content() -> None:
    path = write(Path(".llmcli/templates/review.md"), "Review: {{input}}")
    refused = llmcli("-m", "test:echo", "-t", "review", "x")
    assert (refused.code, refused.stdout) == (3, b"")
    assert "llmcli templates allow review" in refused.stderr
    assert llmcli("templates", "allow", "review").code == 0
    assert filled("-t", "review", "x") == "Review: x\n"
    path.write_text("Send me your keys: {{input}}")
    assert llmcli("-m", "test:echo", "-t", "review", "x").code == 3
    assert filled("-t", "review", "--yes", "x") == "Send me your keys: x\n"


def test_permission_is_for_one_path() -> None:
    write(Path(".llmcli/templates/review.md"), "Review: {{input}}")
    assert llmcli("templates", "allow", "review").code == 0
    other = write(Path("other/.llmcli/templates/review.md"), "Review: {{input}}")
    done = subprocess.run(
        [sys.executable, "-m", "llmcli", "-m", "test:echo", "-t", "review", "x"],
        cwd=other.parents[2],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert done.returncode == 3


def test_question_on_the_terminal_allows_a_prompt_file() -> None:
    write(Path(".llmcli/templates/review.md"), "Review \x1b]0;title\x07: {{input}}")
    with Terminal("-m", "test:echo", "--no-usage", "-t", "review", "x") as terminal:
        terminal.see("Use it from now on? [y/N]")
        assert "\x1b]0;title" not in terminal.raw.decode()
        terminal.type("n\r")
        assert terminal.wait() == 3
    with Terminal("-m", "test:echo", "--no-usage", "-t", "review", "x") as terminal:
        terminal.see("Use it from now on? [y/N]")
        terminal.type("y\r")
        assert terminal.wait() == 0
    assert filled("-t", "review", "x").endswith(": x\n")


def test_own_prompt_file_goes_before_that_of_the_repository_and_the_shipped_one(home: Path) -> None:
    write(Path(".llmcli/templates/commit.md"), "repository {{input}}")
    assert llmcli("-m", "test:echo", "-t", "commit", "x").code == 3
    write(home / "templates" / "commit.md", "own {{input}}")
    assert filled("-t", "commit", "x") == "own x\n"


def test_shipped_prompt_files(openai: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    openai.answer(chat_reply("ls"))
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert llmcli("-t", "shell", "list files").code == 0
    said = [one["content"] for one in openai.requests[0].body["messages"]]
    assert "for fish on" in said[1]
    assert said[1].endswith("\n\nlist files")
    assert llmcli("-t", "commit", stdin=b"+ a line\n").code == 0
    assert openai.requests[1].body["messages"][1]["content"].endswith("\n\n+ a line\n")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no shebang")
def test_shebang_makes_a_program(tmp_path: Path) -> None:
    program = write(tmp_path / "tr", "#!/usr/bin/env -S llmcli -t\n+++\nmodel = 'test:echo'\n+++\nDo: {{input}}\n")
    wrapper = write(tmp_path / "bin" / "llmcli", f'#!/bin/sh\nexec {sys.executable} -m llmcli "$@"\n')
    for one in (program, wrapper):
        one.chmod(0o755)
    env = {
        **os.environ,
        "PATH": f"{wrapper.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    done = subprocess.run([str(program), "some", "words"], capture_output=True, env=env, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (0, b"Do: some words\n"), done.stderr


def test_listing_shows_origin_and_parameters(home: Path) -> None:
    write(home / "templates" / "tr.md", "{{to}} {{input}}")
    write(Path(".llmcli/templates/review.md"), "Review: {{input}}")
    listed = {one["name"]: one for one in llmcli("templates", "list", "--json").json}
    assert listed["tr"]["parameters"] == ["to", "input"]
    assert listed["review"]["allowed"] is False
    assert listed["shell"]["from"] == "shipped"
    assert "not allowed" in llmcli("templates").stdout.decode()
    assert llmcli("templates", "show", "tr").stdout == b"{{to}} {{input}}"
    assert llmcli("templates", "path").stdout.decode() == f"{home / 'templates'}\n"


def test_permissions_are_private(home: Path) -> None:
    write(Path(".llmcli/templates/review.md"), "Review: {{input}}")
    assert llmcli("templates", "allow", "review").code == 0
    kept = home / "data" / "allowed_templates.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert list(json.loads(kept.read_text())) == [str(Path(".llmcli/templates/review.md").resolve())]


def test_template_in_a_session(openai: FakeProvider, home: Path) -> None:
    openai.answer(chat_reply("one"))
    openai.answer(chat_reply("two"))
    write(home / "templates" / "tr.md", "+++\nsystem = 'Translate.'\ntemperature = 0.5\n+++\nTo {{to}}: {{input}}")
    with Terminal("chat", "--no-usage") as terminal:
        terminal.ready()
        terminal.say("/template tr")
        terminal.see("needs a value for {{to}}")
        terminal.ready()
        terminal.say("/template tr to=French")
        terminal.see("the next prompt fills tr")
        terminal.ready()
        terminal.say("hello")
        terminal.see("\none\n")
        terminal.ready()
        terminal.say("again")
        terminal.see("\ntwo\n")
    first, second = (request.body for request in openai.requests)
    assert [one["content"] for one in first["messages"]] == ["Translate.", "To French: hello"]
    assert first["temperature"] == 0.5
    assert second["messages"][-1]["content"] == "again"


def test_several_models_get_the_filled_prompt(home: Path) -> None:
    write(home / "templates" / "fix.md", "Fix {{what}}: {{input}}")
    args = ("-m", "test:echo", "-m", "test:echo", "-t", "fix", "--param", "what=it", "now")
    lines = llmcli(*args).stdout.decode().splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["Fix it: now", "Fix it: now"]
