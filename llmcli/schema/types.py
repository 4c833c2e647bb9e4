"""Turn a Python type into the schema of a reply with pydantic: a model, dataclass, TypedDict, list, int, union ..."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from llmcli.errors import UserError
from llmcli.schema import WRAP, Fault, Fit, Shape
from llmcli.schema.json_text import JSONTextError, parse, without_fence

__all__ = ["TypedFit", "TypedShape", "shape_of_type"]


class TypedFit(Fit):
    """A reply that fits a Python type; `data` is a value of it."""

    __slots__ = ("_typed",)

    def __init__(self, text: str, typed: Any) -> None:
        super().__init__(text)
        self._typed = typed

    @property
    def data(self) -> Any:
        """The value."""
        return self._typed


class TypedShape(Shape):
    """A Python type. Replies are validated by pydantic, in its strict mode for JSON."""

    __slots__ = ("adapter", "takes_text")

    def __init__(self, adapter: TypeAdapter[Any], schema: dict[str, Any], name: str, *, takes_text: bool) -> None:
        super().__init__(schema, name)
        self.adapter = adapter
        self.takes_text = takes_text

    def judge(self, text: str) -> Fit | Fault:
        """See `Shape.judge`; text that is no JSON fits a union with `str`."""
        bare = without_fence(text)
        try:
            node = parse(bare)
        except JSONTextError as error:
            if self.takes_text:
                return TypedFit(text, text)
            return Fault("", "json", f"the reply is not JSON: {error}")
        if self.wrapped and isinstance(node.value, dict) and list(node.value) == [WRAP]:
            node = node.value[WRAP]
        inner = bare[node.start : node.end]
        try:
            return TypedFit(inner, self.adapter.validate_json(inner))
        except ValidationError as error:
            return _fault(error)


def _fault(error: ValidationError) -> Fault:
    faults = error.errors(include_url=False, include_context=False, include_input=False)[:3]
    paths = [".".join(map(str, fault["loc"])) for fault in faults]
    told = (f"{path or 'the reply'}: {fault['msg'][:300]}" for path, fault in zip(paths, faults, strict=True))
    return Fault(paths[0], faults[0]["type"], "; ".join(told))


def shape_of_type(of: Any) -> TypedShape:
    """The shape of a Python type. Raises UserError for one that has no JSON Schema."""
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(of)
        schema = adapter.json_schema()
    except (PydanticSchemaGenerationError, PydanticUserError, TypeError) as error:
        raise UserError(f"{of!r} cannot be the type of a result: {error}") from error
    name = getattr(of, "__name__", "") or "reply"
    name = name if name.isascii() and name.isidentifier() and len(name) <= 64 else "reply"
    return TypedShape(adapter, schema, name, takes_text=str in get_args(of))
