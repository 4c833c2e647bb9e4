"""Read the rows of a batch: JSON lines, CSV with a header, or one prompt a line; a few bytes of memory a row."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import tempfile
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

from llmcli.errors import UserError
from llmcli.messages import ModelMessage, ModelRequest, ModelResponse, SystemPromptPart, TextPart, UserPromptPart
from llmcli.usage import Usage

__all__ = ["Row", "Rows", "key_of", "parse", "read_rows"]

_LONGEST = 64 * 1024 * 1024  # bytes of one row
_SHOWN = 20  # bad lines that an error lists; the rest is counted


@dataclass(slots=True)
class Row:
    """One row of the input."""

    index: int
    """Its place, from 0; blank lines are not rows."""
    input: Any
    """The line as it was read: a text, or an object."""
    id: str | None
    prompt: str
    history: list[ModelMessage]
    system: str | None
    attach: list[str]

    @property
    def fields(self) -> dict[str, str]:
        """The values that a prompt file may name: those of the object that are texts or numbers."""
        found = self.input if isinstance(self.input, dict) else {}
        return {name: value if isinstance(value, str) else json.dumps(value) for name, value in found.items()}


class Rows:
    """All rows of an input, each read again from the file when it is asked for.

    In memory are 8 bytes a row for its place in the file, and 8 more while ids are compared.
    """

    def __init__(self, file: IO[bytes], folder: Path) -> None:
        self._file = file
        self.folder = folder
        """The folder that files of rows lie in."""
        self._offsets = array("Q")
        faults: list[str] = []
        self._count_faults = 0
        ids = array("Q")
        for number, offset, line in self._lines():
            try:
                row = parse(line, len(self._offsets))
            except UserError as error:
                self._count_faults += 1
                if len(faults) < _SHOWN:
                    faults.append(f"line {number}: {error.message}")
                continue
            self._offsets.append(offset)
            ids.append(_hash_of(row.id if row.id is not None else f"\0{row.index}"))
        if faults:
            more = f"; and {self._count_faults - len(faults):,} more" if self._count_faults > len(faults) else ""
            raise UserError(f"nothing was sent: {'; '.join(faults)}{more}", hint="correct these lines")
        self._refuse_twins(ids)

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, index: int) -> Row:
        line = os.pread(self._file.fileno(), _LONGEST, self._offsets[index]).partition(b"\n")[0]
        return parse(line, index)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _lines(self) -> Iterator[tuple[int, int, bytes]]:
        """Number (from 1), offset and content of each line that is not blank."""
        offset = 0
        for number, line in enumerate(iter(lambda: self._file.readline(_LONGEST + 1), b""), 1):
            if len(line) > _LONGEST:
                raise UserError(f"line {number} is longer than {_LONGEST:,} bytes")
            if line.strip():
                yield number, offset, line
            offset += len(line)

    def _refuse_twins(self, ids: array[int]) -> None:
        ordered = sorted(ids)
        twins = {one for one, following in pairwise(ordered) if one == following}
        if twins:
            seen: dict[str, int] = {}
            for index in (index for index, one in enumerate(ids) if one in twins):
                name = self[index].id
                if name is not None and name in seen:
                    raise UserError(f"nothing was sent: the id {name!r} occurs twice, in rows {seen[name]} and {index}")
                seen[str(name)] = index


def read_rows(name: str, *, lines: bool, stdin: bytes | None = None) -> Rows:
    """Open an input: JSON lines, CSV by its ending, plain lines with `lines`; `-` is `stdin`, kept in a private file.

    Raises UserError that lists the bad lines with their numbers.
    """
    folder = Path.cwd() if name == "-" else Path(name).resolve().parent
    try:
        source: IO[bytes] = _spooled([stdin or b""]) if name == "-" else open(name, "rb")  # noqa: SIM115 - Rows closes it
    except OSError as error:
        raise UserError(f"cannot read {name}: {error.strerror}", hint="check the name of the input") from error
    if lines or name.endswith(".csv"):
        with source as plain:
            source = _spooled(_from_lines(plain) if lines else _from_csv(plain, name))
    try:
        return Rows(source, folder)
    except BaseException:
        source.close()
        raise


def _spooled(chunks: Any) -> IO[bytes]:
    """A private temporary file that holds the chunks."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - Rows closes it
    for chunk in chunks:
        file.write(chunk)
    file.seek(0)
    return file


def _from_lines(source: IO[bytes]) -> Iterator[bytes]:
    for number, line in enumerate(source, 1):
        try:
            text = line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise UserError(f"line {number} is not UTF-8 text") from None
        yield json.dumps(text).encode() + b"\n" if text.strip() else b"\n"


def _from_csv(source: IO[bytes], name: str) -> Iterator[bytes]:
    import io

    with io.TextIOWrapper(source, encoding="utf-8-sig", newline="") as text:
        try:
            reader = csv.DictReader(text, strict=True)
            for row in reader:
                if None in row or None in row.values():
                    raise UserError(f"{name}: line {reader.line_num} has not as many fields as the header")
                yield json.dumps(row, ensure_ascii=False).encode() + b"\n"
        except (csv.Error, UnicodeDecodeError) as error:
            raise UserError(f"{name} is not CSV text in UTF-8: {error}") from None


def parse(line: bytes, index: int) -> Row:
    """The row of a line: a JSON text, an object, or a line of the OpenAI batch format. Raises UserError."""
    try:
        value = json.loads(line)
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise UserError("not JSON text in UTF-8") from None
    if isinstance(value, str):
        if not value.strip():
            raise UserError("the prompt is empty")
        return Row(index, value, None, value, [], None, [])
    if not isinstance(value, dict):
        raise UserError("neither a text nor an object")
    if "custom_id" in value and isinstance(body := value.get("body"), dict):
        fields = {"id": value["custom_id"], "messages": body.get("messages")}
    else:
        fields = value
    return _row(index, value, fields)


def _row(index: int, value: Any, fields: Mapping[str, Any]) -> Row:
    name = fields.get("id")
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    prompt, messages, system = fields.get("prompt"), fields.get("messages"), fields.get("system")
    attach = fields.get("attach") or []
    attach = [attach] if isinstance(attach, str) else attach
    if not isinstance(name, str | None):
        raise UserError("id is neither a text nor a whole number")
    if not isinstance(system, str | None):
        raise UserError("system is not a text")
    if not isinstance(attach, list) or not all(isinstance(one, str) for one in attach):
        raise UserError("attach is not a list of file names")
    if prompt is not None and messages is not None:
        raise UserError("prompt and messages exclude each other")
    if messages is not None:
        history, prompt = _history(messages)
        return Row(index, value, name, prompt, history, system, attach)
    if prompt is not None and not isinstance(prompt, str):
        raise UserError("prompt is not a text")
    return Row(index, value, name, prompt or "", [], system, attach)


def _history(messages: Any) -> tuple[list[ModelMessage], str]:
    """The messages before the last one, and the text of the last one, which must be the user's."""
    if not isinstance(messages, list) or not messages:
        raise UserError("messages is not a list of messages")
    found: list[ModelMessage] = []
    for message in messages:
        role = message.get("role") if isinstance(message, dict) else None
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list):
            texts = [part.get("text") if isinstance(part, dict) else None for part in content]
            content = "\n\n".join(map(str, texts)) if all(isinstance(text, str) for text in texts) else None
        if role not in ("system", "developer", "user", "assistant") or not isinstance(content, str):
            raise UserError("a message has no role of user, assistant or system, or no text as content")
        if role == "assistant":
            found.append(ModelResponse((TextPart(content),), "stop", Usage()))
        elif role == "user":
            found.append(ModelRequest((UserPromptPart(content),)))
        else:
            found.append(ModelRequest((SystemPromptPart(content),)))
    last = found.pop()
    if not isinstance(last, ModelRequest) or not isinstance(last.parts[0], UserPromptPart):
        raise UserError("the last message is not the user's")
    return found, last.parts[0].text


def _hash_of(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def key_of(row: Row, request: str) -> str:
    """What a row is known by in a journal: a hash of its line and of `request`, which names model and settings."""
    content = json.dumps([row.input, request], sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
