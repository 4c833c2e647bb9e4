"""Find the text files of a folder or a glob, without what is hidden, ignored by git, or outside of the folder."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from llmcli.errors import UserError

__all__ = ["Found", "files_of_folder", "files_of_glob", "has_glob_signs"]

_MOST_FILES = 10_000
_GIT_S = 10.0
_HIDDEN, _IGNORED, _LINK, _OTHER = "hidden", "ignored by git", "link out of the folder", "no regular file"


@dataclass(slots=True)
class Found:
    """The files of a folder or a glob."""

    files: list[tuple[str, str]] = field(default_factory=list)
    """Pairs of a path to open and a name to show, sorted by name."""
    left_out: Counter[str] = field(default_factory=Counter)
    """How many entries were left out, by reason. A folder that is left out counts once."""


def has_glob_signs(name: str) -> bool:
    """Whether the name can be a glob."""
    return any(sign in name for sign in "*?[")


def files_of_folder(folder: str) -> Found:
    """The files below a folder. Raises UserError for too many of them, and for a folder that cannot be listed."""
    path = os.path.expanduser(folder)
    shown = os.path.normpath(folder).replace(os.sep, "/")
    if os.path.isabs(path):
        shown = os.path.basename(os.path.realpath(path))
    return _collected(path, "" if shown == "." else f"{shown}/", re.compile(".*", re.DOTALL), None, folder)


def files_of_glob(pattern: str) -> Found:
    """The files that a glob matches; `**` stands for folders at any depth. Raises UserError as `files_of_folder`."""
    parts = pattern.replace(os.sep, "/").split("/")
    at = next(at for at, part in enumerate(parts) if has_glob_signs(part))
    base, parts = "/".join(parts[:at]), parts[at:]
    if at and not base:
        base = "/"
    path = os.path.expanduser(base) if base else "."
    if not os.path.isdir(path):
        return Found()
    depth = None if "**" in parts else len(parts)
    shown = os.path.normpath(base).replace(os.sep, "/").rstrip("/") if base else "."
    if os.path.isabs(path):
        shown = os.path.basename(os.path.realpath(path))
    return _collected(path, "" if shown in (".", "") else f"{shown}/", _expression(parts), depth, pattern)


def _collected(path: str, prefix: str, wanted: re.Pattern[str], depth: int | None, name: str) -> Found:
    found = Found()
    root = os.path.realpath(path)
    for inner, reason in _entries(path, root, depth):
        if reason and (wanted.fullmatch(inner.rstrip("/")) or (inner.endswith("/") and depth is None)):
            found.left_out[reason] += 1
        elif not reason and wanted.fullmatch(inner):
            found.files.append((os.path.join(path, inner), prefix + inner))
            if len(found.files) > _MOST_FILES:
                raise UserError(f"{name} holds more than {_MOST_FILES:,} files", hint="name a part of it with --file")
    found.files.sort(key=lambda pair: pair[1])
    return found


def _entries(path: str, root: str, depth: int | None) -> Iterator[tuple[str, str]]:
    """Files below a folder, relative to it, with the reason to leave them out, or none; so for folders, with `/`."""
    ignored: set[str] = set()

    def failed(error: OSError) -> None:
        if error.filename == path:
            raise UserError(f"cannot read {path}: {error.strerror}") from error

    for folder, folders, names in os.walk(path, onerror=failed):
        below = os.path.relpath(folder, path).replace(os.sep, "/")
        prefix = "" if below == "." else f"{below}/"
        if not prefix or ".git" in folders or ".git" in names:
            ignored |= {prefix + one for one in _ignored_by_git(folder)}
        for name in sorted(names):
            yield prefix + name, _reason(os.path.join(folder, name), root, prefix + name in ignored)
        kept = []
        for name in sorted(folders):
            inner = f"{prefix}{name}/"
            reason = _reason(os.path.join(folder, name), root, inner in ignored or inner[:-1] in ignored)
            if reason and name != ".git":
                yield inner, reason
            elif not reason and (depth is None or inner.count("/") < depth):
                kept.append(name)
        folders[:] = kept


def _reason(path: str, root: str, is_ignored: bool) -> str:
    """Why an entry is left out; empty for one that is taken."""
    if os.path.basename(path).startswith("."):
        return _HIDDEN
    if is_ignored:
        return _IGNORED
    try:
        kind = os.stat(path).st_mode
    except OSError:
        return _OTHER
    if os.path.islink(path):
        target = os.path.realpath(path)
        if target != root and not target.startswith(root.rstrip(os.sep) + os.sep):
            return _LINK
    return "" if stat.S_ISREG(kind) or stat.S_ISDIR(kind) else _OTHER


def _ignored_by_git(folder: str) -> list[str]:
    """What git ignores below a folder, relative to it, folders with a slash; nothing without git or a repository.

    The settings of the repository run no program.
    """
    git = shutil.which("git")
    if not git:
        return []
    command = [git, "-c", "core.fsmonitor=false", "--no-optional-locks", "ls-files", "-z"]
    command += ["--others", "--ignored", "--exclude-standard", "--directory"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=_GIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return list(map(os.fsdecode, filter(None, done.stdout.split(b"\0")))) if done.returncode == 0 else []


def _expression(parts: list[str]) -> re.Pattern[str]:
    """The regular expression for the parts of a glob."""
    whole = ""
    for at, part in enumerate(parts):
        is_last = at == len(parts) - 1
        if part == "**":
            whole += ".*" if is_last else "(?:[^/]+/)*"
        else:
            whole += _part(part) + ("" if is_last else "/")
    try:
        return re.compile(whole, re.DOTALL)
    except re.error:
        return re.compile(re.escape("/".join(parts)))


def _part(part: str) -> str:
    """The regular expression for what stands between two slashes of a glob; runs of stars count as one."""
    classes = partial(re.sub, r"\[(!?)(\]?[^]]*)\]", _class)
    pieces = re.split(r"(\[!?\]?[^]]*\]|\*+|\?)", part)
    return "".join(
        "[^/]*" if piece.startswith("*") else "[^/]" if piece == "?" else classes(piece) if at % 2 else re.escape(piece)
        for at, piece in enumerate(pieces)
    )


def _class(found: re.Match[str]) -> str:
    inside = found[2].replace("\\", r"\\").replace("[", r"\[").replace("]", r"\]").replace("^", r"\^")
    return f"[{'^' if found[1] else ''}{inside}]"
