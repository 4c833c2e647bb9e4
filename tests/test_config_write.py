"""config set, unset and edit: comments and order stay, and a wrong value leaves the file as it was."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest

from tests.command import llmcli

TEXT = """# what I use
model = "fast"   # the default

[aliases]
# two names
fast = "groq:openai/gpt-oss-20b"

[limits]
max_cost = 0.5  # USD
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "config.toml"


@pytest.fixture
def written(path: Path) -> Path:
    path.parent.mkdir()
    path.write_text(TEXT)
    return path


def test_set_keeps_comments_and_order(written: Path) -> None:
    assert llmcli("config", "set", "max_cost", "0.75").code == 0
    assert written.read_text() == TEXT.replace("0.5", "0.75")
    assert llmcli("config", "set", "limits.max-cost", "0.5").code == 0
    assert written.read_text() == TEXT
    assert llmcli("config", "set", "temperature", "0.2").code == 0
    assert written.read_text() == f"{TEXT}\n[defaults]\ntemperature = 0.2\n"


def test_file_is_made_private_whatever_the_umask(path: Path) -> None:
    old = os.umask(0)
    try:
        assert llmcli("config", "set", "model", "test:echo").code == 0
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert llmcli("hi").stdout == b"hi\n"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("aliases.slow", "openai:gpt-6-sol", {"aliases": {"slow": "openai:gpt-6-sol"}}),
        ("stop", "END", {"defaults": {"stop": ["END"]}}),
        ("stop", '["a", "b"]', {"defaults": {"stop": ["a", "b"]}}),
        ("usage", "true", {"defaults": {"usage": True}}),
        ("fallback_on", "429,network", {"defaults": {"fallback_on": [429, "network"]}}),
        (
            "providers.work.base_url",
            "http://127.0.0.1:9/v1",
            {"providers": {"work": {"base_url": "http://127.0.0.1:9/v1"}}},
        ),
        ("providers.openai.stream_usage", "false", {"providers": {"openai": {"stream_usage": False}}}),
        ("providers.openai.headers.X-Team", "5", {"providers": {"openai": {"headers": {"X-Team": "5"}}}}),
        ('aliases."a.b"', "test:echo", {"aliases": {"a.b": "test:echo"}}),
    ],
)
def test_value_is_read_as_the_setting_wants_it(path: Path, name: str, value: str, expected: object) -> None:
    result = llmcli("config", "set", name, value)
    assert result.code == 0, result.stderr
    assert tomllib.loads(path.read_text()) == expected


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("temperature", "warm", "not a number"),
        ("temperature", "-1", "must be at least 0"),
        ("temprature", "1", "did you mean temperature?"),
        ("theme", "pink", "'auto', 'dark'"),
        ("base_url", "http://x", "cannot stand in the settings file"),
        ("providers.work.nonsense", "1", "unknown setting"),
        ("model.x", "1", ""),
    ],
)
def test_wrong_value_leaves_the_file_as_it_was(written: Path, name: str, value: str, said: str) -> None:
    result = llmcli("config", "set", name, value)
    assert result.code == 2, result.stderr
    assert said in result.stderr
    assert written.read_text() == TEXT


def test_broken_file_is_named_and_kept(written: Path) -> None:
    written.write_text("model = ")
    assert llmcli("config", "set", "seed", "1").code == 3
    assert written.read_text() == "model = "


def test_unset_removes_one_line(written: Path) -> None:
    assert llmcli("config", "unset", "max_cost").code == 0
    assert written.read_text() == TEXT.replace("max_cost = 0.5  # USD\n", "")
    again = llmcli("config", "unset", "max_cost")
    assert again.code == 2
    assert "does not set limits.max_cost" in again.stderr
    assert llmcli("config", "unset", "aliases").code == 0
    assert "fast =" not in written.read_text()


def test_variable_that_goes_before_is_named(path: Path) -> None:
    result = llmcli("config", "set", "model", "test:echo", env={"LLMCLI_MODEL": "test"})
    assert "note: LLMCLI_MODEL goes before it" in result.stderr


def editor(tmp_path: Path, script: str) -> dict[str, str]:
    path = tmp_path / "editor.sh"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"EDITOR": str(path), "TMPDIR": str(tmp_path)}


def test_edit_writes_what_is_valid(written: Path, tmp_path: Path) -> None:
    result = llmcli("config", "edit", env=editor(tmp_path, "echo 'allow_unknown_cost = true' >>$1"))
    assert result.code == 0, result.stderr
    assert written.read_text() == f"{TEXT}allow_unknown_cost = true\n"
    assert llmcli("config", "edit", env=editor(tmp_path, "true")).code == 0
    assert not list(tmp_path.glob("llmcli-config-*"))


def test_edit_keeps_a_copy_of_what_is_wrong(written: Path, tmp_path: Path) -> None:
    result = llmcli("config", "edit", env=editor(tmp_path, "echo nonsense >>$1"))
    assert result.code == 3
    assert written.read_text() == TEXT
    found = re.search(r"your text is in (\S+)", result.stderr)
    assert found
    assert Path(found[1]).read_text() == f"{TEXT}nonsense\n"
    assert llmcli("config", "edit", env=editor(tmp_path, "exit 3")).code == 2
    assert written.read_text() == TEXT


def test_symbolic_link_to_the_file_stays(tmp_path: Path, path: Path) -> None:
    path.parent.mkdir()
    (tmp_path / "dotfiles.toml").write_text(TEXT)
    path.symlink_to(tmp_path / "dotfiles.toml")
    assert llmcli("config", "set", "max_cost", "1").code == 0
    assert path.is_symlink()
    assert "max_cost = 1.0" in (tmp_path / "dotfiles.toml").read_text()
