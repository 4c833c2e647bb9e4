"""Every recipe of docs/recipes.md, run as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import llmcli
from tests.fake_provider import FakeProvider, chat_reply

PAGE = Path(__file__).parents[1] / "docs" / "recipes.md"
RECIPES = dict(re.findall(r"<!-- recipe: (\w+) -->\n```\w+\n(.*?)```", PAGE.read_text(), re.DOTALL))


@pytest.fixture
def binaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the PATH with `llmcli` in it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program(folder / "llmcli", f'#!/bin/sh\nexec {sys.executable} -m llmcli "$@"\n')
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(PAGE.parents[1]))
    monkeypatch.setenv("LLMCLI_ALLOW_UNKNOWN_COST", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    return folder


def program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def run(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(args, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    for args in (("init", "-q"), ("config", "user.name", "A"), ("config", "user.email", "a@example.com")):
        assert run("git", *args, cwd=folder).returncode == 0
    (folder / "a.txt").write_text("a line\n")
    assert run("git", "add", ".", cwd=folder).returncode == 0
    return folder


needs_git = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")


@needs_git
@pytest.mark.parametrize(("finish", "subject"), [("stop", "Add a.txt"), ("length", "by hand")])
def test_hook_writes_a_whole_message_only(
    openai: FakeProvider, binaries: Path, repository: Path, finish: str, subject: str
) -> None:
    openai.answer(chat_reply("Add a.txt", finish=finish))
    program(repository / ".git" / "hooks" / "prepare-commit-msg", RECIPES["hook"])
    editor = program(binaries / "editor", '#!/bin/sh\ngrep -q "^[^#]" "$1" || echo "by hand" >"$1"\n')
    done = run("git", "-c", f"core.editor={editor}", "commit", cwd=repository)
    assert done.returncode == 0, done.stderr
    assert run("git", "log", "--format=%s", cwd=repository).stdout == f"{subject}\n"
    assert "+a line" in openai.requests[0].content.decode()


@pytest.mark.parametrize(("reply", "label"), [('"bug"', "bug"), ("I cannot say", "triage")])
def test_triage_writes_a_label_in_any_case(
    openai: FakeProvider, binaries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reply: str, label: str
) -> None:
    openai.answer(chat_reply(reply))
    (tmp_path / "issue.md").write_text("It crashes.")
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    assert run("sh", "-e", "-c", RECIPES["triage"], cwd=tmp_path).returncode == 0
    assert (tmp_path / "output").read_text() == f"label={label}\n"


@needs_git
def test_digest_appears_when_it_is_whole(
    openai: FakeProvider, binaries: Path, repository: Path, tmp_path: Path
) -> None:
    digest = program(binaries / "digest", RECIPES["digest"])
    openai.answer(chat_reply("cut", finish="length"))
    assert run("git", "commit", "-qm", "Add a.txt", cwd=repository).returncode == 0
    assert run(str(digest), str(repository), cwd=tmp_path).returncode == 7
    assert not list(tmp_path.glob("digest-*.md"))
    openai.answers = []
    openai.answer(chat_reply("One file."))
    done = run(str(digest), str(repository), cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert next(iter(tmp_path.glob("digest-*.md"))).read_text() == "One file.\n"
    assert "A: Add a.txt" in openai.requests[-1].content.decode()


def settings(tmp_path: Path, text: str) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config.toml").write_text(text)


def test_two_accounts_have_two_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings(tmp_path, RECIPES["accounts"])
    monkeypatch.setenv("WORK_OPENAI_KEY", "sk-work-0123456789")
    work = llmcli("doctor", "work:gpt-6-luna", "--json")
    assert work.code == 0, work.stdout
    assert work.json["models"][0]["key_from"] == "WORK_OPENAI_KEY"
    assert work.json["models"][0]["url"] == "https://api.openai.com/v1/responses"
    assert work.json["models"][0]["input_usd_per_million"]
    assert llmcli("doctor", "home:gpt-6-luna").code == 3


@pytest.mark.parametrize(("command", "model"), [("pass", "openai:m"), ("op", "anthropic:m"), ("security", "groq:m")])
def test_keys_come_from_a_password_manager(
    provider: FakeProvider, binaries: Path, tmp_path: Path, command: str, model: str
) -> None:
    settings(tmp_path, RECIPES["keys"])
    program(binaries / command, f'#!/bin/sh\n[ $# -gt 1 ] && echo "key-of-{command}"\n')
    provider.answer_json({"error": {"message": "no"}}, status=400)
    name = model.partition(":")[0].upper()
    llmcli("-m", model, "hi", env={f"LLMCLI_{name}_BASE_URL": provider.url})
    assert provider.requests[0].headers["authorization"] == f"Bearer key-of-{command}"


SHELLS = {
    "bash": (
        ("bash", "--norc", "--noprofile", "-c"),
        'bind() { :; }\n{recipe}\nREADLINE_LINE="list files"\n_llmcli_line\nprintf %s "$READLINE_LINE"',
    ),
    "zsh": (
        ("zsh", "-f", "-c"),
        'zle() { :; }\nbindkey() { :; }\n{recipe}\nBUFFER="list files"\n_llmcli_line\nprintf %s "$BUFFER"',
    ),
    "fish": (
        ("fish", "--no-config", "-c"),
        "set -g line 'list files'\nfunction bind; end\n"
        "function commandline\nif set -q argv[1]\nset -g line $argv[3]\nelse\necho $line\nend\nend\n"
        "{recipe}\n_llmcli_line\nprintf %s $line",
    ),
}


@pytest.mark.parametrize(("finish", "line"), [("stop", "touch ran"), ("length", "list files")])
@pytest.mark.parametrize("shell", SHELLS)
def test_binding_puts_the_command_on_the_line_and_does_not_run_it(
    openai: FakeProvider, binaries: Path, tmp_path: Path, shell: str, finish: str, line: str
) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    openai.answer(chat_reply("touch ran", finish=finish))
    start, script = SHELLS[shell]
    done = run(*start, script.replace("{recipe}", RECIPES[shell]), cwd=tmp_path)
    assert done.stdout == line, done.stderr
    assert not (tmp_path / "ran").exists()
    assert openai.requests[0].body["messages"][-1]["content"].endswith("list files")


def test_every_block_of_the_page_is_a_recipe() -> None:
    assert PAGE.read_text().count("```") == 2 * len(RECIPES)
