"""--out FILE: the file appears whole or not at all."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.command import llmcli, started


def test_whole_reply_is_written_to_the_file_and_not_to_stdout(tmp_path: Path) -> None:
    out = tmp_path / "msg"
    result = llmcli("-m", "test:echo", "--out", str(out), "hello")
    assert (result.code, result.stdout) == (0, b"")
    assert out.read_text() == "hello\n"
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["msg"]


def test_cut_reply_goes_to_the_part_file_and_the_old_file_stays(tmp_path: Path) -> None:
    out = tmp_path / "msg"
    out.write_text("old")
    result = llmcli("-m", "test:length", "--out", str(out), "hello")
    assert result.code == 7
    assert out.read_text() == "old"
    assert (tmp_path / "msg.part").read_bytes() == llmcli("-m", "test:length", "hello").stdout


def test_cut_reply_makes_no_file(tmp_path: Path) -> None:
    assert llmcli("-m", "test:cut", "--out", str(tmp_path / "msg"), "hello").code != 0
    assert not (tmp_path / "msg").exists()
    assert (tmp_path / "msg.part").exists()


def test_failure_without_output_leaves_nothing(tmp_path: Path) -> None:
    assert llmcli("-m", "test:error-401", "--out", str(tmp_path / "msg"), "hello").code == 3
    assert not [one for one in tmp_path.iterdir() if one.is_file()]


@pytest.mark.parametrize("form", ["text", "markdown", "json", "ndjson"])
def test_every_format_writes_what_stdout_gets(tmp_path: Path, form: str) -> None:
    out = tmp_path / "out"
    assert llmcli("-m", "test:markdown", "--format", form, "--out", str(out), "hello").code == 0
    expected = llmcli("-m", "test:markdown", "--format", form, "hello").stdout
    if form in ("text", "markdown"):
        assert out.read_bytes() == expected
    else:
        last = json.loads(out.read_text().splitlines()[-1])
        assert last.keys() == json.loads(expected.splitlines()[-1]).keys()


def test_json_of_a_failure_goes_to_the_part_file(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert llmcli("-m", "test:error-401", "--json", "--out", str(out), "hello").code == 3
    assert json.loads((tmp_path / "out.part").read_text())["exit_code"] == 3
    assert llmcli("--json", "--out", str(out), "--temperature", "warm", "hello").code == 2
    assert json.loads((tmp_path / "out.part").read_text())["exit_code"] == 2


def test_extract_and_dry_run_write_to_the_file(tmp_path: Path) -> None:
    out = tmp_path / "out"
    args = ("--base-url", "http://127.0.0.1:9/v1", "-m", "openai:m", "--dry-run", "hi")
    assert llmcli(*args, "--out", str(out)).code == 0
    assert out.read_bytes() == llmcli(*args).stdout
    assert llmcli("-m", "test:echo", "-x", "--out", str(tmp_path / "code"), "no code").code == 9
    assert not (tmp_path / "code").exists()


def test_mode_follows_the_umask_or_the_file_that_is_replaced(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        assert llmcli("-m", "test:echo", "--out", str(tmp_path / "new"), "hello").code == 0
    finally:
        os.umask(old)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640
    (tmp_path / "new").chmod(0o604)
    assert llmcli("-m", "test:echo", "--out", str(tmp_path / "new"), "hello").code == 0
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o604


def test_symbolic_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    assert llmcli("-m", "test:echo", "--out", str(tmp_path / "link"), "hello").code == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "hello\n"


@pytest.mark.parametrize("name", ["missing/file", ".", "/dev/null"])
def test_unwritable_path_is_an_output_error_before_anything_is_sent(tmp_path: Path, name: str) -> None:
    result = llmcli("-m", "test:echo", "--json", "--out", str(tmp_path / name), "hello")
    assert result.code == 1
    assert result.json["error"]["kind"] == "output"
    assert result.json["text"] == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_full_disk_is_an_output_error(tmp_path: Path) -> None:
    from llmcli.errors import LlmcliError
    from llmcli.render.out_file import OutFile

    out = OutFile(str(tmp_path / "out"))
    os.dup2(os.open("/dev/full", os.O_WRONLY), out._file)
    with pytest.raises(LlmcliError, match="No space left") as caught:
        out.write("text")
    assert (caught.value.exit_code, caught.value.kind) == (1, "output")
    out.close()
    assert not (tmp_path / "out").exists()


def test_interrupted_reply_goes_to_the_part_file(tmp_path: Path) -> None:
    process = started("-m", "test:slow", "--out", str(tmp_path / "out"), "hello")
    while not any(one.stat().st_size for one in tmp_path.glob(".out.*.part")):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert (tmp_path / "out.part").stat().st_size
    assert not (tmp_path / "out").exists()


def test_several_models_write_their_lines_to_the_file(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert llmcli("-m", "test:echo", "-m", "test:echo", "--out", str(out), "hello").code == 0
    assert [json.loads(line)["text"] for line in out.read_text().splitlines()] == ["hello", "hello"]
    out.unlink()
    assert llmcli("-m", "test:echo", "-m", "test:error-401", "--out", str(out), "hello").code == 10
    assert not out.exists()
    assert len((tmp_path / "out.part").read_text().splitlines()) == 2
