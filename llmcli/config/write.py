"""Change values in the settings file: keep comments and order, validate first, write atomically."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Any

from llmcli.config.load import parsed
from llmcli.config.settings import FIELDS, kind_of, meta_of, names
from llmcli.errors import SettingsError, UserError
from llmcli.paths import read_file, replace_file
from llmcli.spelling import did_you_mean

__all__ = ["check_text", "set_value", "unset_value", "write_text"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_TABLES = ("aliases", "providers", "defaults", "limits", "mcp", "tools", "prices", "privacy")


def set_value(path: Path, name: str, text: str) -> str:
    """Set a setting in the file, and return its full name, such as `limits.max_cost`.

    `name` is a setting, or a place in a table: `aliases.fast`, `providers.work.base_url`. `text` is read as the
    setting wants it; in a table it is a TOML value, or else text. Raises UserError for an unknown name or a wrong
    value, SettingsError where the file cannot be read or written.
    """
    place = _place(name)
    document = _parsed(path)
    was_valid = _fault(_dumped(document), path) is None
    fault: SettingsError | None = None
    for value in _values(place, text):
        document = _parsed(path)
        _put(document, place, value)
        fault = _fault(_dumped(document), path)
        if fault is None:
            write_text(path, _dumped(document))
            return ".".join(place)
    assert fault is not None
    if was_valid:
        raise UserError(fault.message.removeprefix(f"{path}: "), hint="nothing is changed")
    raise fault


def unset_value(path: Path, name: str) -> str:
    """Take a setting or a table out of the file, and return its full name. Raises as `set_value` does."""
    place = _place(name)

    document = table = _parsed(path)
    for part in place[:-1]:
        table = table.get(part, {})
    if place[-1] not in table:
        raise UserError(f"{path} does not set {'.'.join(place)}", hint="llmcli config show lists what is set")
    del table[place[-1]]
    write_text(path, _dumped(document))
    return ".".join(place)


def check_text(text: str, path: Path) -> None:
    """Raise SettingsError where the text is no settings file; the error names `path`."""
    from pydantic import ValidationError

    from llmcli.config.schema import SettingsFile, faults

    try:
        SettingsFile.model_validate(tomllib.loads(text))
    except ValidationError as error:
        raise SettingsError(f"{path}: {faults(error)}") from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None


def write_text(path: Path, text: str) -> None:
    """Check the text, and put it in the place of the file, readable by its owner alone. Raises SettingsError."""
    check_text(text, path)
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise SettingsError(f"cannot write {path}: {error.strerror}") from error


def _parsed(path: Path) -> MutableMapping[str, Any]:
    """The file with its comments; an empty document where there is none."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        return tomlkit.parse(read_file(path)[0].decode("utf-8-sig") if path.exists() else "")
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}", hint="correct it: llmcli config edit") from None


def _dumped(document: MutableMapping[str, Any]) -> str:
    import tomlkit

    return tomlkit.dumps(document)


def _fault(text: str, path: Path) -> SettingsError | None:
    try:
        check_text(text, path)
    except SettingsError as error:
        return error
    return None


def _put(table: MutableMapping[str, Any], place: Sequence[str], value: object) -> None:
    import tomlkit

    for part in place[:-1]:
        if part not in table:
            table[part] = tomlkit.table()
        table = table[part]
        if not isinstance(table, MutableMapping):
            raise UserError(f"{part} is no table")
    table[place[-1]] = value


def _place(name: str) -> tuple[str, ...]:
    """The place of a setting in the file: its table and its name. Raises UserError for an unknown one."""
    parts = tuple(part.strip('"') for part in re.findall(r'"[^"]*"|[^.]+', name))
    settable = names(lambda meta: meta.table is not None)
    bare = name.replace("-", "_")
    if bare in settable:
        return tuple(filter(None, (meta_of(bare).table, bare)))
    if len(parts) == 2 and parts[0] in ("defaults", "limits"):
        inner = parts[1].replace("-", "_")
        if inner in settable and meta_of(inner).table == parts[0]:
            return parts[0], inner
    elif parts and parts[0] in _TABLES:
        return parts
    if bare in FIELDS:
        raise UserError(f"{name} cannot stand in the settings file", hint="give it as an option")
    from llmcli.config.schema import SettingsFile

    known = [*settable, *_TABLES]
    if parts and parts[0] in SettingsFile.model_fields:
        return parts
    raise UserError(f"there is no setting {name}", hint=did_you_mean(bare, known) or "llmcli config show lists them")


def _values(place: Sequence[str], text: str) -> list[object]:
    """The values that the text may mean, the likeliest first."""
    if place[-1] in FIELDS and (len(place) == 1 or place[0] in ("defaults", "limits")):
        if kind_of(place[-1]) == list[str] and text.startswith("["):
            return [_toml(text)]
        value = parsed(place[-1], text)
        return [list(value) if isinstance(value, tuple) else value]
    value = _toml(text)
    return [value, text] if value != text else [text]


def _toml(text: str) -> object:
    """A TOML value, such as a number, `true`, a list or a table; else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        pass
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
