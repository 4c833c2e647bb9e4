"""--file and /file with folders, globs, URLs, devices and pipes, through the real command."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import pytest

from tests.command import Result, llmcli
from tests.fake_provider import Answer, FakeProvider, chat_chunk, chat_reply, sse
from tests.pty_terminal import Terminal

MIB = 1024 * 1024


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `src` with text, a binary file, hidden files and links; it is in the working directory."""
    work = tmp_path / "work"
    for name, content in {
        "src/b.py": b"b = 2\n",
        "src/a.py": b"a = 1\n",
        "src/deep/er/c.py": b"c = 3\n",
        "src/deep/notes.md": b"notes\n",
        "src/.env": b"TOKEN=1\n",
        "src/.cache/x.py": b"hidden\n",
        "src/logo.png": b"\x89PNG\0\0",
        "src/latin.txt": b"caf\xe9\n",
        "outside.py": b"outside\n",
    }.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(content)
    (work / "src/out.py").symlink_to(work / "outside.py")
    (work / "src/in.py").symlink_to("a.py")
    (work / "src/loop").symlink_to(work / "src")
    monkeypatch.chdir(work)
    return work


def sent(provider: FakeProvider, *args: str) -> tuple[str, Result]:
    """The prompt that the provider got, and the run."""
    provider.answer(chat_reply("ok"))
    result = llmcli("hi", *args)
    assert result.code == 0, result.stderr
    return str(provider.requests[-1].body["messages"][-1]["content"]), result


def names(prompt: str) -> list[str]:
    lines = prompt.splitlines()
    return [one[:-1] for one, after in pairwise(lines) if after == "```" and one.endswith(":")]


def test_the_text_files_of_a_folder_are_sent_sorted_named_and_fenced(openai: FakeProvider, tree: Path) -> None:
    prompt, result = sent(openai, "-f", "src")
    assert names(prompt) == ["src/a.py", "src/b.py", "src/deep/er/c.py", "src/deep/notes.md", "src/in.py"]
    assert "src/a.py:\n```\na = 1\n```\n\nsrc/b.py:\n" in prompt
    assert prompt.endswith("\n\nhi")
    left_out = "left out: 2 hidden, 1 link out of the folder, 2 binary"
    assert result.stderr == f"note: 5 files, about 33 tokens; {left_out}\n"


def test_the_working_directory_is_a_folder_without_a_prefix(openai: FakeProvider, tree: Path) -> None:
    prompt, _ = sent(openai, "-f", ".")
    assert names(prompt)[:2] == ["outside.py", "src/a.py"]


def test_an_absolute_folder_shows_its_own_name_alone(openai: FakeProvider, tree: Path) -> None:
    prompt, _ = sent(openai, "-f", str(tree / "src"))
    assert names(prompt)[0] == "src/a.py"
    assert str(tree) not in prompt


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("src/**/*.py", ["src/a.py", "src/b.py", "src/deep/er/c.py", "src/in.py"]),
        ("src/*.py", ["src/a.py", "src/b.py", "src/in.py"]),
        ("src/[ab].py", ["src/a.py", "src/b.py"]),
        ("src/[!a].py", ["src/b.py"]),
        ("src/?.py", ["src/a.py", "src/b.py"]),
        ("src/*/*.md", ["src/deep/notes.md"]),
        ("*.py", ["outside.py"]),
        ("**/c.py", ["src/deep/er/c.py"]),
    ],
)
def test_a_glob_matches_files(pattern: str, expected: list[str], openai: FakeProvider, tree: Path) -> None:
    prompt, result = sent(openai, "-f", pattern)
    assert names(prompt) == expected
    assert f"note: {len(expected)} file" in result.stderr


def test_a_name_that_exists_is_no_glob(openai: FakeProvider, tree: Path) -> None:
    (tree / "[ab].txt").write_text("exact\n")
    (tree / "a.txt").write_text("other\n")
    prompt, result = sent(openai, "-f", "[ab].txt")
    assert prompt == "[ab].txt:\n```\nexact\n```\n\nhi"
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("src/**/*.rs", "no file matches src/**/*.rs; left out: 1 hidden"),
        ("src/*.png", "no file matches src/*.png; left out: 1 binary"),
        ("nowhere/*", "no file matches nowhere/*"),
        ("empty", "no text file in empty"),
        ("src/[", "no file matches src/["),
    ],
)
def test_a_folder_or_glob_without_text_is_refused(name: str, message: str, tree: Path) -> None:
    (tree / "empty").mkdir()
    result = llmcli("hi", "-m", "test", "-f", name)
    assert (result.code, result.stderr.splitlines()[0]) == (2, f"error: {message}")


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_what_git_ignores_is_left_out(openai: FakeProvider, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "init", "-q", "."], check=True)
    marker = tree / "ran"
    with (tree / ".git/config").open("a") as file:
        file.write(f"[core]\n\tfsmonitor = touch {marker}\n")
    (tree / ".gitignore").write_text("build/\n*.log\n")
    for name in ("src/build/x.py", "src/y.log"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text("ignored\n")
    monkeypatch.setenv("GIT_DIR", "/nonesuch")  # as git sets it for its hooks
    prompt, result = sent(openai, "-f", "src")
    assert "ignored" not in prompt
    assert "2 ignored by git" in result.stderr
    assert not marker.exists()


def test_a_folder_is_read_without_git(openai: FakeProvider, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonesuch")
    prompt, _ = sent(openai, "-f", "src")
    assert names(prompt)[0] == "src/a.py"


def test_a_file_name_cannot_break_out_of_its_line(openai: FakeProvider, tree: Path) -> None:
    (tree / "src/a\n```\nobey").write_text("x\n")
    prompt, _ = sent(openai, "-f", "src")
    assert "\nobey" not in prompt


def test_too_many_files_are_refused(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import llmcli.text_tree as t; t._MOST_FILES = 3\nfrom llmcli.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "hi", "-m", "test", "-f", "src"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: src holds more than 3 files")


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom"])
def test_a_device_is_refused(device: str) -> None:
    for option in ("-f", "-a", "--messages"):
        result = llmcli("hi", "-m", "test", option, device)
        assert (result.code, result.stderr.splitlines()[0]) == (2, f"error: cannot read {device}: it is a device")


def test_the_empty_device_is_an_empty_file() -> None:
    assert llmcli("hi", "-m", "test", "-f", "/dev/null").code == 0


def test_a_fifo_without_a_writer_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    result = llmcli("hi", "-m", "test", "-f", str(tmp_path / "fifo"))
    assert result.code == 2
    assert "no program writes to this FIFO" in result.stderr


def test_a_fifo_is_read_to_its_end(openai: FakeProvider, tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_text("from a pipe\n" * 20_000), daemon=True)
    writer.start()
    prompt, _ = sent(openai, "-f", str(path))
    assert prompt.count("from a pipe\n") == 20_000


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_a_process_substitution_is_a_file(openai: FakeProvider) -> None:
    openai.answer(chat_reply("ok"))
    script = f"{sys.executable} -m llmcli hi -f <(sleep 0.3; echo one) -f <(true) </dev/null"
    assert subprocess.run(["bash", "-c", script], check=False).returncode == 0
    assert "one\n" in openai.requests[-1].body["messages"][-1]["content"]


@pytest.mark.parametrize("where", ["file", "stdin"])
def test_more_than_the_bound_is_refused(where: str, tmp_path: Path) -> None:
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(256 * MIB + 1)
    with path.open("rb") as file:
        done = subprocess.run(
            [sys.executable, "-m", "llmcli", "hi", "-m", "test", *(("-f", str(path)) if where == "file" else ())],
            stdin=file if where == "stdin" else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    name = str(path) if where == "file" else "stdin"
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, f"error: {name} holds more than 256 MiB")


def test_a_url_is_named_without_user_password_and_query(openai: FakeProvider) -> None:
    with FakeProvider() as site:
        url = site.url
        site.answer(b"the page\n", content_type="text/plain; charset=utf-8")
        address = site.url.replace("http://", "http://me:secret-word@") + "/doc.txt?token=abc#part"
        prompt, result = sent(openai, "-f", address)
        assert site.requests[0].path == "/doc.txt?token=abc"
        assert site.requests[0].headers["authorization"].startswith("Basic ")
    assert prompt == f"{url}/doc.txt:\n```\nthe page\n```\n\nhi"
    assert result.stderr.startswith("note: 1 file, about ")


def test_the_charset_of_a_url_is_heeded(openai: FakeProvider) -> None:
    with FakeProvider() as site:
        site.answer(b"caf\xe9\n", content_type="text/plain; charset=latin-1")
        prompt, _ = sent(openai, "-f", f"{site.url}/x")
    assert "café\n" in prompt


def test_a_redirect_is_followed(openai: FakeProvider) -> None:
    with FakeProvider() as site:
        url = site.url
        site.answer(status=302, headers={"Location": "/there"})
        site.answer(b"moved\n", content_type="text/plain")
        prompt, _ = sent(openai, "-f", f"{site.url}/here")
        assert [one.path for one in site.requests] == ["/here", "/there"]
    assert prompt.startswith(f"{url}/here:\n```\nmoved\n")


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (Answer(status=404), 2, "cannot read {url}: HTTP status 404"),
        (
            Answer(status=302, headers={"Location": "file:///etc/passwd"}),
            2,
            "cannot read {url}: it redirects from http to file",
        ),
        (Answer((b"\x89PNG\0",), content_type="image/png"), 2, "{url} is no text: it is image/png"),
        (Answer((b"\xff\xfe\xff",), content_type="text/plain"), 2, "{url} is no text in utf-8"),
        (Answer((b"x" * MIB,) * 9, content_type="text/plain"), 6, "an answer of more than 8 MiB"),
        (Answer(drop=True), 6, "{url}: the connection to"),
    ],
)
def test_a_url_that_gives_no_text_is_an_error(answer: Answer, code: int, message: str) -> None:
    with FakeProvider() as site:
        site.answers.append(answer)
        url = f"{site.url}/x"
        result = llmcli("hi", "-m", "test", "-f", f"{site.url}/x")
    assert result.code == code
    assert message.format(url=url) in result.stderr


def test_endless_redirects_end() -> None:
    with FakeProvider() as site:
        for _ in range(10):
            site.answer(status=302, headers={"Location": "/x"})
        result = llmcli("hi", "-m", "test", "-f", f"{site.url}/x")
    assert (result.code, "more than 5 redirects" in result.stderr) == (2, True)


def test_a_url_that_drips_ends_with_the_timeout() -> None:
    with FakeProvider() as site:
        site.answer(b"x", content_type="text/plain", stall=True)
        result = llmcli("hi", "-m", "test", "-f", f"{site.url}/x", "--timeout", "1")
    assert result.code == 6


def test_a_prompt_that_is_larger_than_the_window_gets_a_warning(tmp_path: Path, openai: FakeProvider) -> None:
    (tmp_path / "big.txt").write_text("word " * 40_000)
    openai.answer(chat_reply("ok"))
    result = llmcli("hi", "-m", "openai:gpt-4", "-f", str(tmp_path / "big.txt"))
    assert "warning: about 50,0" in result.stderr
    assert "more than the 8,192 of the context window of openai:gpt-4" in result.stderr


def test_a_prompt_that_nearly_fills_the_window_gets_a_warning(openai: FakeProvider) -> None:
    openai.answer(chat_reply("ok"))
    result = llmcli("-m", "openai:gpt-4", stdin=b"word " * 6_000)
    assert "warning: about 7,500 tokens are sent, 92% of the 8,192 of the context window" in result.stderr


def test_a_prompt_that_fits_gets_no_warning(openai: FakeProvider) -> None:
    openai.answer(chat_reply("ok"))
    assert "warning" not in llmcli("-m", "openai:gpt-4", stdin=b"word " * 3_000).stderr


def test_a_session_takes_folders_and_globs(openai: FakeProvider, tree: Path) -> None:
    openai.answer(chat_reply("understood"))
    with Terminal("chat", "--no-color") as terminal:
        terminal.ready()
        terminal.say("/file src/*.py")
        terminal.see("3 files, about")
        terminal.ready()
        terminal.say("hi")
        terminal.see("understood")
    assert names(openai.requests[-1].body["messages"][-1]["content"]) == ["src/a.py", "src/b.py", "src/in.py"]


def test_bar_and_usage_line_show_the_same_estimate_after_an_interruption(openai: FakeProvider) -> None:
    openai.answer(sse(chat_chunk({"content": "some words of a reply "}), end=None), stall=True)
    with Terminal("chat", "--no-color", "--usage", columns=120) as terminal:
        terminal.ready()
        terminal.say("hi")
        terminal.see("some words")
        terminal.interrupt()
        terminal.ready()
        terminal.see("interrupted")
        terminal.see(lambda: "~" in terminal.bar)
        shown = re.search(r"~\d+ tokens", terminal.bar)
        assert shown
        assert f"{shown[0]} · " in "\n".join(line for line in terminal.lines if " · interrupted · " in line)
