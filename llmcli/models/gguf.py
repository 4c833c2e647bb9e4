"""Read the header of a GGUF file: name, quantisation and context window, without loading the model.

The format: github.com/ggml-org/ggml, docs/gguf.md. A file may be anything, so every count and length is checked
against the file's size, and no more than `_MOST_READ` bytes are read.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

__all__ = ["GGUFHeader", "NotGGUF", "read_header"]

_MOST_PAIRS = 4096
_MOST_READ = 1 << 20
_LONGEST_KEY = 256
_LONGEST_VALUE = 4096

# Type numbers of values: struct format of the scalar ones, then the two that hold more.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9

# general.file_type, from 0 on (llama.h, llama_ftype); `-` was taken back.
_FILE_TYPES = (
    *("F32", "F16", "Q4_0", "Q4_1", "-", "-", "-", "Q8_0", "Q5_0", "Q5_1", "Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L"),
    *("Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K", "IQ2_XXS", "IQ2_XS", "Q2_K_S", "IQ3_XS", "IQ3_XXS", "IQ1_S"),
    *("IQ4_NL", "IQ3_S", "IQ3_M", "IQ2_S", "IQ2_M", "IQ4_XS", "IQ1_M", "BF16", "-", "-", "-", "TQ1_0", "TQ2_0"),
    "MXFP4",
)


class NotGGUF(ValueError):
    """The file is no GGUF file, or its header is broken; the message says how."""


@dataclass(slots=True)
class GGUFHeader:
    """What the header of a GGUF file says; None where it does not say."""

    architecture: str | None = None
    """For example `llama`; `clip` for an image encoder that goes with a model."""
    quantisation: str | None = None
    """For example `Q4_K_M`."""
    context: int | None = None
    """Context window in tokens that the model was trained for."""
    bytes_per_token: int | None = None
    """Memory that one token of context takes, with 16-bit keys and values."""


def read_header(path: Path) -> GGUFHeader:
    """Read the header of `path`. Raises OSError, and NotGGUF for a file that holds no readable header."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        return _header(_pairs(_Reader(file, size)))


class _Reader:
    """Reads little-endian values within the file and within `_MOST_READ` bytes."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._left = _MOST_READ

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        if count > self._left:
            raise NotGGUF("its header is too large")
        self._left -= count
        data = self._file.read(count)
        if len(data) < count:
            raise NotGGUF("it ends within its header")
        return data

    def skip(self, count: int) -> None:
        """Leave out the next `count` bytes."""
        if self._file.tell() + count > self._size:
            raise NotGGUF("it ends within its header")
        self._file.seek(count, 1)

    def number(self, form: str) -> int:
        """The next value of a struct format."""
        found: int = struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))[0]
        return found

    def text(self, longest: int) -> str | None:
        """The next string; None for one that is longer than `longest` bytes, which is left out."""
        length = self.number("Q")
        if length > longest:
            self.skip(length)
            return None
        return self.take(length).decode("utf-8", "replace")


def _pairs(reader: _Reader) -> dict[str, object]:
    """The keys and values up to the tokenizer's lists, which are megabytes long and come last in practice."""
    if reader.take(4) != b"GGUF":
        raise NotGGUF("it is not a GGUF file")
    version = reader.number("I")
    if not 2 <= version <= 3:
        raise NotGGUF(f"its GGUF version {version} is unknown")
    reader.number("Q")  # tensors
    count = reader.number("Q")
    if count > _MOST_PAIRS:
        raise NotGGUF("its header is broken")
    found: dict[str, object] = {}
    for _ in range(count):
        key = reader.text(_LONGEST_KEY) or ""
        kind = reader.number("I")
        if kind == _ARRAY and key.startswith("tokenizer."):
            break
        found[key] = _value(reader, kind)
    return found


def _value(reader: _Reader, kind: int) -> object:
    if kind == _STRING:
        return reader.text(_LONGEST_VALUE)
    if kind in _SCALARS:
        return reader.number(_SCALARS[kind])
    if kind != _ARRAY:
        raise NotGGUF("its header is broken")
    inner, count = reader.number("I"), reader.number("Q")
    if inner in _SCALARS and count <= _LONGEST_VALUE:
        return [reader.number(_SCALARS[inner]) for _ in range(count)]
    if inner in _SCALARS:
        reader.skip(count * struct.calcsize(f"<{_SCALARS[inner]}"))
    elif inner == _STRING:
        for _ in range(count):  # each takes 8 bytes at least: `take` ends it
            reader.text(0)
    else:
        raise NotGGUF("its header is broken")
    return None


def _header(pairs: Mapping[str, object]) -> GGUFHeader:
    architecture = pairs.get("general.architecture")
    name = architecture if isinstance(architecture, str) else ""

    def number(key: str) -> int | None:
        value = pairs.get(f"{name}.{key}")
        if isinstance(value, list):  # one for each layer
            value = max(value, default=None)
        return value if isinstance(value, int) and 0 < value < 1 << 31 else None

    kind = pairs.get("general.file_type")
    heads = number("attention.head_count")
    width = number("attention.key_length")
    if width is None and heads and (embedding := number("embedding_length")):
        width = embedding // heads
    layers, kv_heads = number("block_count"), number("attention.head_count_kv") or heads
    per_token = 4 * layers * kv_heads * width if layers and kv_heads and width else None  # key and value, 2 bytes each
    return GGUFHeader(
        name or None,
        _FILE_TYPES[kind].strip("-") or None if isinstance(kind, int) and 0 <= kind < len(_FILE_TYPES) else None,
        number("context_length"),
        per_token,
    )
