"""Read the settings of a model from a mapping, under the names of PydanticAI and of llmcli."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from llmcli.errors import UserError
from llmcli.messages import ModelSettings
from llmcli.spelling import did_you_mean

if TYPE_CHECKING:
    from llmcli.schema import Shape

__all__ = ["settings_of"]

_OWN = frozenset(one.name for one in fields(ModelSettings)) - {"schema", "schema_name", "tools"}
# Names of PydanticAI that mean a setting of ours.
_SAME: dict[str, Callable[[Any], dict[str, Any]]] = {
    "stop_sequences": lambda value: {"stop": tuple(value)},
    "openai_reasoning_effort": lambda value: {"effort": value},
    "anthropic_metadata": lambda value: {"user_id": value.get("user_id")},
    "openai_user": lambda value: {"user_id": value},
    "thinking": lambda value: {"effort": {True: "medium", False: "none"}.get(value, value)},
    "extra_body": lambda value: {"extra": value},
    "gemini_safety_settings": lambda value: {"extra": {"safetySettings": value}},
}
# Names of PydanticAI that are fields of the request body.
_BODY = frozenset({"parallel_tool_calls", "presence_penalty", "frequency_penalty", "logit_bias", "service_tier"})


def settings_of(given: Mapping[str, Any], shape: Shape | None = None) -> ModelSettings:
    """The settings of a mapping; None is not sent. Raises UserError for a name that is not known."""
    found: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        if name in _BODY:
            extra[name] = value
        elif name in _SAME:
            mapped = _SAME[name](value)
            extra |= mapped.pop("extra", {})
            found |= mapped
        elif name == "extra":
            extra |= value
        elif name in _OWN:
            found[name] = tuple(value) if name == "stop" and not isinstance(value, str) else value
        else:
            known = [*_OWN, *_SAME, *_BODY]
            raise UserError(f"model_settings has no {name!r}", hint=did_you_mean(name, known) or "extra_body takes any")
    if isinstance(found.get("stop"), str):
        found["stop"] = (found["stop"],)
    settings = ModelSettings(**found, extra=extra)
    return replace(settings, schema=shape.sent, schema_name=shape.name) if shape else settings
