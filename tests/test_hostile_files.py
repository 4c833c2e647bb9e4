"""Pipes, endless files and foreign locks in the place of our own files, and key commands that do not end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llmcli.errors import SettingsError
from llmcli.providers import credentials
from tests.command import llmcli

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs named pipes")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def test_settings_file_that_is_a_pipe_is_an_error(home: Path) -> None:
    os.mkfifo(home / "config.toml")
    result = llmcli("-m", "test", "hi")
    assert result.code == 3
    assert f"{home / 'config.toml'}: it is not a regular file" in result.stderr


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="this system has no /dev/zero")
def test_settings_file_without_end_is_an_error(home: Path) -> None:
    (home / "config.toml").symlink_to("/dev/zero")
    result = llmcli("-m", "test", "hi")
    assert result.code == 3
    assert f"{home / 'config.toml'}: it holds more than 16 MiB" in result.stderr


@pytest.mark.parametrize("args", [["-m", "openai:m", "hi"], ["keys", "set", "openai"], ["keys", "list"]], ids=str)
def test_file_of_keys_that_is_a_pipe_is_an_error(home: Path, args: list[str]) -> None:
    os.mkfifo(home / "keys.json", 0o600)
    result = llmcli(*args, stdin=b"sk-test-0123456789")
    assert result.code == 3
    assert f"{home / 'keys.json'}: it is not a regular file" in result.stderr


def test_foreign_lock_on_the_file_of_keys_is_an_error(home: Path) -> None:
    held = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)"
    held += "; print(flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", held, str(home)], stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout
        holder.stdout.readline()
        result = llmcli("keys", "set", "openai", stdin=b"sk-test-0123456789")
        holder.kill()
    assert result.code == 3
    assert f"{home} is locked by another process" in result.stderr


@pytest.mark.parametrize("file", ["data/conversations.db", "state/prompt_history"])
def test_database_or_history_that_is_a_pipe_does_not_hang(home: Path, file: str) -> None:
    path = home / file
    path.parent.mkdir()
    os.mkfifo(path)
    assert llmcli("-m", "test:echo", "hi").stdout == b"hi\n"
    result = llmcli("log")
    assert result.code in (0, 1, 3)
    assert "internal error" not in result.stderr


def test_key_command_that_does_not_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "_COMMAND_S", 0.3)
    with pytest.raises(SettingsError, match=r"key_command failed: it did not end within 0.3 s"):
        credentials.run_key_command("sleep 600", "openai", "providers.openai")


def test_key_command_that_leaves_a_process_with_its_pipe_gives_its_key() -> None:
    begun = time.monotonic()
    printed = credentials.run_key_command("sh -c 'sleep 50 & echo sk-test-1'", "openai", "providers.openai")
    assert (printed, time.monotonic() - begun < 40) == ("sk-test-1\n", True)


def test_key_command_without_end_of_output_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "_COMMAND_S", 20)
    with pytest.raises(SettingsError, match="key_command failed"):
        credentials.run_key_command("yes", "openai", "providers.openai")


@pytest.mark.parametrize("args", [["-m", "test", "hi"], ["config", "show"], ["providers"]], ids=str)
def test_empty_key_command_is_an_error_that_names_the_file(home: Path, args: list[str]) -> None:
    (home / "config.toml").write_text('[providers.openai]\nkey_command = ""\n')
    result = llmcli(*args)
    assert result.code == 3
    assert f"{home / 'config.toml'}: providers.openai.key_command: the command is empty" in result.stderr
