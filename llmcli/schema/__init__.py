"""Structured output: the user's JSON Schema, the schema that is sent, and the validation of a reply."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from llmcli.errors import UserError
from llmcli.schema.edit import around, describes_object, in_items, without_optional_nulls
from llmcli.schema.json_text import JSONTextError, Node, parse, without_fence
from llmcli.schema.short_form import from_short_form

__all__ = ["Fault", "Fit", "Shape", "choice", "shape_from"]

_LARGEST_FILE = 4 << 20  # bytes
_MOST_FAULTS = 3  # that are told to the model
_LONGEST_FAULT = 300  # characters
_BACKTRACKS = 20_000  # steps of one regular expression; each may read the whole string
_READ = 100_000_000  # characters that all steps together may read: about an eighth of a second
WRAP = "response"
"""The property that holds a reply whose schema is no object, as several APIs take objects only."""


@dataclass(slots=True)
class Fault:
    """Why a reply does not fit."""

    path: str
    """Where, as `items.0.age`; empty for the reply as a whole."""
    rule: str
    """The keyword of the schema, `json` for text that is no JSON, or `get` for a value that is not there."""
    message: str
    """One sentence that names the path."""


@dataclass(slots=True)
class Fit:
    """A reply that fits."""

    text: str
    """Its JSON with the model's own characters, without a fence and without null for optional properties."""
    bare: bool = False
    """Whether a string is printed without quotes."""
    _node: Node | None = None

    @property
    def node(self) -> Node:
        """The value, with places in `text`."""
        self._node = self._node or parse(self.text)
        return self._node

    @property
    def data(self) -> Any:
        """The value as Python holds it."""
        return self.node.data()

    @property
    def printed(self) -> str:
        """What stdout gets, without a newline at the end."""
        return str(self.node.value) if self.bare else self.text

    @property
    def compact(self) -> str:
        """The JSON on one line, each number and string as the model wrote it."""
        return self.node.compact(self.text)

    def get(self, path: str) -> str | Fault:
        """One value of it, `a.b.0`: strings without quotes, all else with the model's own characters."""
        node = _at(self.node, path.split("."))
        if node is None:
            return Fault(path, "get", f"the reply has no {path}")
        return node.value if isinstance(node.value, str) else self.text[node.start : node.end]


def _at(node: Node, keys: Sequence[str]) -> Node | None:
    if not keys:
        return node
    if isinstance(node.value, list):
        at = int(keys[0]) if keys[0].isascii() and keys[0].isdigit() and len(keys[0]) < 10 else len(node.value)
        return _at(node.value[at], keys[1:]) if at < len(node.value) else None
    if isinstance(node.value, dict):
        for length in range(len(keys), 0, -1):  # a key may hold dots
            key = ".".join(keys[:length])
            if key in node.value and (found := _at(node.value[key], keys[length:])):
                return found
    return None


@dataclass(slots=True)
class Shape:
    """A schema, checked when the shape is made. Raises UserError for one that is broken or refers to a network."""

    schema: dict[str, Any]
    """The user's own; replies are validated against it."""
    name: str = "reply"
    """The name of the schema for APIs that require one: letters, digits, `_` and `-`."""
    words: tuple[str, ...] = ()
    """Of a choice: what may be answered."""
    sent: dict[str, Any] = field(init=False)
    """The schema to send: the user's own, or an object around it where it describes no object."""
    wrapped: bool = field(init=False)
    """Whether `sent` has an object around the user's schema."""
    _validator: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._validator = _compiled(self.schema, _BACKTRACKS)
        self.wrapped = not describes_object(self.schema)
        self.sent = around(self.schema, WRAP) if self.wrapped else self.schema

    @property
    def instructions(self) -> str:
        """What the system prompt says where an API has no field for a schema."""
        schema = json.dumps(self.sent, ensure_ascii=False)
        return f"Answer with JSON only, without any text before or after it. It must fit this JSON Schema:\n{schema}"

    def judge(self, text: str) -> Fit | Fault:
        """Whether the text of a whole reply fits. One enclosing fence is forgiven."""
        bare = without_fence(text)
        if bare in self.words:
            return Fit(json.dumps(bare, ensure_ascii=False), bare=True)
        try:
            node = parse(bare)
        except JSONTextError as error:
            return Fault("", "json", f"the reply is not JSON: {error}")
        if self.wrapped and isinstance(node.value, dict) and list(node.value) == [WRAP]:
            node = node.value[WRAP]
        fit = Fit(without_optional_nulls(bare, node, self.schema), bool(self.words))
        return self._faults(fit) or fit

    def _faults(self, fit: Fit) -> Fault | None:
        validator = self._validator
        if len(fit.text) > _READ // _BACKTRACKS:
            validator = _compiled(self.schema, max(_READ // len(fit.text), 100))
        errors = list(islice(validator.iter_errors(fit.node.data(exact=True)), _MOST_FAULTS))
        if not errors:
            return None
        paths = [".".join(map(str, error.instance_path)) for error in errors]
        told = [f"{path or 'the reply'}: {_cut(error.message)}" for path, error in zip(paths, errors, strict=True)]
        return Fault(paths[0], str(errors[0].kind.name), "; ".join(told))

    def check_path(self, path: str) -> None:
        """Raise UserError where `--get PATH` names a property that the schema does not allow."""
        schema: Any = self.schema
        for key in path.split("."):
            if not isinstance(schema, dict) or schema.get("$ref") or not key:
                break
            known = schema.get("properties")
            if key.isdigit():
                schema = schema.get("items")
            elif isinstance(known, dict) and key not in known and schema.get("additionalProperties") is False:
                raise UserError(f"--get {path}: the schema has no {key}", hint=f"it has {', '.join(known) or 'none'}")
            else:
                schema = known.get(key) if isinstance(known, dict) else None


def shape_from(spec: str, *, multi: bool = False) -> Shape:
    """The shape of `--schema SPEC`: JSON Schema that begins with `{`, `@FILE` or FILE.json, else the short form.

    `multi` wants an array of them under `items`. Raises UserError.
    """
    text = spec.strip()
    if text.startswith("@"):
        schema = _from_json(_read(text[1:]), text[1:])
    elif text.endswith(".json") and not text.startswith("{"):
        schema = _from_json(_read(text), text)
    elif text.startswith("{"):
        schema = _from_json(text, "--schema")
    else:
        schema = from_short_form(text)
    return Shape(in_items(schema) if multi else schema)


def choice(words: Sequence[str]) -> Shape:
    """The shape of one of the words, which is printed without quotes. Raises UserError."""
    clean = tuple(word.strip() for word in words)
    if len(clean) < 2 or not all(clean) or len(set(clean)) < len(clean):
        raise UserError("--choice needs two or more different words", hint="for example: --choice yes,no")
    return Shape({"type": "string", "enum": list(clean)}, words=clean)


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise UserError(f"--schema: cannot read {path}: {error.strerror}") from error
    except ValueError as error:  # a name with a null byte
        raise UserError(f"--schema: cannot read {path!r}: {error}") from error
    if len(content) > _LARGEST_FILE:
        raise UserError(f"--schema: {path} is larger than {_LARGEST_FILE >> 20} MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"--schema: {path} is not UTF-8: the byte at position {error.start}") from error


def _from_json(text: str, source: str) -> dict[str, Any]:
    try:
        schema = parse(text).data()
    except JSONTextError as error:
        raise UserError(f"{source} is not JSON: {error}") from error
    if not isinstance(schema, dict):
        raise UserError(f"{source} is no JSON Schema: it must be an object")
    return schema


def _compiled(schema: Mapping[str, Any], backtracks: int) -> Any:
    """A validator that never fetches anything, and whose regular expressions fail after so many steps back."""
    import jsonschema_rs

    options = jsonschema_rs.FancyRegexOptions(backtrack_limit=backtracks)
    try:
        return jsonschema_rs.validator_for(dict(schema), retriever=_refuse, pattern_options=options)
    except (ValueError, TypeError, RecursionError) as error:  # ValidationError and ReferencingError are ValueErrors
        path = ".".join(map(str, getattr(error, "instance_path", ())))
        reason = _cut(getattr(error, "message", None) or str(error))
        raise UserError(f"the JSON Schema is broken{f' at {path}' if path else ''}: {reason}") from error


def _refuse(uri: str) -> Any:
    raise ValueError("nothing is fetched; put it below $defs")


def _cut(text: str) -> str:
    half = _LONGEST_FAULT // 2
    return text if len(text) <= _LONGEST_FAULT else f"{text[:half]} ... {text[-half:]}"
