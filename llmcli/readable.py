"""Print a message or a part as the constructor call that makes it, without the fields that are not set."""

from __future__ import annotations

from typing import Any

__all__ = ["Readable"]

# The order of PydanticAI 0.0.36; further fields follow.
_RESPONSE = ("parts", "model_name", "timestamp", "kind")


class Readable:
    """The repr of messages and parts. A subclass is a dataclass with slots."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return `TextPart(content='Paris', part_kind='text')`: fields that are None or False are left out."""
        names: list[str] = list(getattr(self, "__dataclass_fields__", ()))
        if "finish_reason" in names:
            names.sort(key=lambda name: _RESPONSE.index(name) if name in _RESPONSE else len(_RESPONSE))
        values = ((name, getattr(self, name)) for name in names)
        told = (f"{name}={_shown(value)}" for name, value in values if value is not None and value is not False)
        return f"{type(self).__name__}({', '.join(told)})"


def _shown(value: Any) -> str:
    return repr(list(value)) if isinstance(value, tuple) else repr(value)
