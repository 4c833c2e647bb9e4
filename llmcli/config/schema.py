"""The model of the settings file, made for pydantic from `Settings`; loaded only to check a file or a variable."""

import json
import re
import tomllib
import warnings
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model
from pydantic_core import PydanticCustomError

from llmcli.config.settings import FIELDS, Meta, kind_of, meta_of, names
from llmcli.errors import PROVIDER_KINDS, SettingsError
from llmcli.spelling import did_you_mean

__all__ = ["SettingsFile", "Variables", "choices", "faults", "front_matter", "reason_of"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _words(value: object) -> object:
    """Split the words of a variable at commas, and check each: an error kind or a status."""
    words = value.split(",") if isinstance(value, str) else value
    return [_reason(str(word).strip()) for word in words] if isinstance(words, list) else words


def _reason(word: str) -> int | str:
    if word in PROVIDER_KINDS:
        return word
    if word.isdecimal() and 400 <= int(word) <= 599:
        return int(word)
    meant = did_you_mean(word, PROVIDER_KINDS) or f"known are 400 to 599, {', '.join(PROVIDER_KINDS)}"
    raise PydanticCustomError("reason", f"{word or 'an empty word'} is not an error kind of a provider; {meant}")


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _command_line(value: object) -> object:
    if isinstance(value, str) and not value.strip():
        raise PydanticCustomError("command", "the command is empty")
    return value


_KeyCommand = Annotated[str, BeforeValidator(_command_line)]
_Texts = Annotated[tuple[str, ...], BeforeValidator(_one_or_more)]
_OF_NAME: dict[str, Any] = {"fallback_on": Annotated[tuple[int | str, ...], BeforeValidator(_words)]}


def _annotation(name: str) -> Any:
    """The type of a setting in the file: bounds as on the command line, no NaN and no infinity."""
    kind, meta = kind_of(name), meta_of(name)
    if kind == list[str]:
        kind = _OF_NAME.get(name, _Texts)
    bounds = {"ge": meta.min, "le": meta.max} if kind in (int, float) else {}
    more = {"allow_inf_nan": False} if kind is float else {}
    constraints: dict[str, Any] = {key: value for key, value in {**bounds, **more}.items() if value is not None}
    return Annotated[kind, Field(**constraints)] | None if constraints else kind | None


def _model(title: str, which: list[str]) -> type[BaseModel]:
    fields: dict[str, Any] = {name: (_annotation(name), None) for name in which}
    with warnings.catch_warnings():  # `schema` was a method of every model
        warnings.filterwarnings("ignore", "Field name .* shadows", UserWarning)
        return create_model(title, __base__=_Strict, **fields)


def _in_table(table: str) -> list[str]:
    def is_in(meta: Meta) -> bool:
        return meta.table == table

    return names(is_in)


_Defaults = _model("Defaults", _in_table("defaults"))
_Limits = _model("Limits", _in_table("limits"))
_Privacy: type[BaseModel] = create_model(
    "Privacy",
    __base__=_Strict,
    **{name.removeprefix("privacy_"): (_annotation(name), None) for name in _in_table("privacy")},  # type: ignore[call-overload]  # fields by name
)
Variables = _model("Variables", [name for name in FIELDS if meta_of(name).table is not None])
"""All settings as variables, where every value is text."""


class ProviderSettings(_Strict):
    """A provider of one's own, or changes to a built-in one; see `llmcli.providers.table.Provider` for the fields."""

    protocol: Literal["openai", "openai-responses", "anthropic", "gemini", "cohere"] | None = None
    base_url: str | None = None
    key_env: _Texts | None = None
    key_command: _KeyCommand | None = None
    proxy: str | None = None
    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    headers: (
        dict[Annotated[str, Field(pattern=r"^[\w-]+$")], Annotated[str, Field(pattern=r"^[\x20-\x7e]*$")]] | None
    ) = None
    models: tuple[str, ...] | None = None
    price_id: str | None = None
    max_tokens_field: str | None = None
    seed_field: str | None = None
    effort_field: str | None = None
    user_field: str | None = None
    stream_usage: bool | None = None


_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
_Seconds = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
_Argv = Annotated[tuple[str, ...], Field(min_length=1)]


class ServerSettings(_Strict):
    """A tool server; see `llmcli.tools.servers.ServerEntry` for the fields."""

    command: _Argv | None = None
    url: str | None = None
    env: dict[str, str] | None = None
    headers: dict[str, str] | None = None
    key_env: str | None = None
    key_command: _KeyCommand | None = None
    allow: _Texts | None = None
    deny: _Texts | None = None
    trusted: bool | None = None
    timeout: _Seconds | None = None


class ToolSettings(_Strict):
    """An own command that models may call; see `llmcli.tools.command.CommandTool`."""

    command: _Argv
    description: str
    parameters: str | dict[str, Any] | None = None
    env: dict[str, str] | None = None
    timeout: _Seconds | None = None
    max_output: Annotated[int, Field(ge=1, le=10_000_000)] | None = None


_Usd = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class PriceSettings(_Strict):
    """What a model costs; see `llmcli.providers.table.OwnPrice` for the fields."""

    input: _Usd
    output: _Usd
    cache_read: _Usd | None = None
    cache_write: _Usd | None = None
    context: Annotated[int, Field(ge=1)] | None = None


class _Tables(_Strict):
    """The tables that are not settings of one value."""

    aliases: dict[str, str] = {}
    prices: dict[str, PriceSettings] = {}
    providers: dict[str, ProviderSettings] = {}
    mcp: dict[_Name, ServerSettings] = {}
    tools: dict[_Name, ToolSettings] = {}
    defaults: Any = None
    limits: Any = None
    privacy: Any = None


SettingsFile = create_model(
    "SettingsFile",
    __base__=_Tables,
    **{name: (_annotation(name), None) for name in _in_table("")},  # type: ignore[call-overload]  # fields by name
    defaults=(_Defaults, _Defaults()),
    limits=(_Limits, _Limits()),
    privacy=(_Privacy, _Privacy()),
)
"""The whole file."""


@cache
def choices(name: str) -> tuple[str, ...]:
    """The words that a setting may be, for completion: those of a Literal, `true` and `false` for a bool."""
    kind = kind_of(name)
    if kind is bool:
        return ("true", "false")
    return tuple(map(str, getattr(kind, "__args__", ()))) if kind != list[str] else ()


def _in_front_matter(name: str) -> bool:
    """Whether a prompt file may set it: nothing that grants, addresses or opens, and no file that it could send."""
    meta = meta_of(name)
    sampling = meta.section == "Model" and meta.table == "defaults"
    return name in _OF_PROMPTS or ((sampling or meta.table == "limits") and not name.startswith("allow"))


_OF_PROMPTS = (
    *("model", "system", "schema", "schema_multi", "get", "choice", "repair", "extract", "format", "mcp", "tool"),
    *("max_steps", "web", "cache"),
)
_FRONT_NAMES = {"tools": "tool"}  # as the front matter calls a setting
_A_FILE = re.compile(r"\s*@|.*\.json\s*\Z", re.DOTALL)
_Value = Annotated[str, BeforeValidator(lambda value: str(value) if isinstance(value, int | float) else value)]


@cache
def _front_model() -> type[BaseModel]:
    model = _model("FrontMatter", [name for name in FIELDS if _in_front_matter(name)])
    more: dict[str, Any] = {"params": (dict[str, _Value], {})}
    with warnings.catch_warnings():  # see `_model`
        warnings.filterwarnings("ignore", "Field name .* shadows", UserWarning)
        return create_model("FrontMatter", __base__=model, **more)


def front_matter(text: str, name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings and the parameters in the front matter of the prompt file `name`. Raises SettingsError."""
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"the prompt file {name}: its front matter is not valid TOML: {error}") from None
    values = {_FRONT_NAMES.get(key, key): value for key, value in table.items()}
    for key in values:
        if key in FIELDS and not _in_front_matter(key):
            raise SettingsError(f"the prompt file {name} may not set {key}", hint="give it as an option")
    if isinstance(values.get("schema"), Mapping):
        values["schema"] = json.dumps(values["schema"], default=str)
    try:
        found = dict(_front_model().model_validate(values))
    except ValidationError as error:
        raise SettingsError(f"the prompt file {name}: {faults(error)}") from None
    params = found.pop("params")
    settings = {key: value for key, value in found.items() if value is not None}
    _refuse_reach(settings, name)
    return settings, dict(params)


def _refuse_reach(settings: Mapping[str, Any], name: str) -> None:
    """Refuse a value that would read a file, start a command or reach an address."""
    for key in ("system", "schema"):
        value = str(settings.get(key, ""))
        if value.startswith("@") or (key == "schema" and not value.startswith("{") and _A_FILE.match(value)):
            raise SettingsError(f"the prompt file {name}: {key} may not name a file", hint="write its text instead")
    for key in ("mcp", "tool"):
        for value in settings.get(key) or ():
            if re.search(r"[\s/]|://", value):
                raise SettingsError(f"the prompt file {name}: {key} takes names, not {value!r}")


def faults(error: ValidationError, name_of: Any = str) -> str:
    """What is wrong with a table, in one line: the place of each value and the reason."""
    return "; ".join(
        f"{'.'.join(name_of(str(place)) for place in fault['loc'][:3])}: {_fault(fault)}" for fault in error.errors()
    )


def _fault(fault: Mapping[str, Any]) -> str:
    if fault["type"] != "extra_forbidden":
        return reason_of(fault)
    known = [*FIELDS, *SettingsFile.model_fields, *ProviderSettings.model_fields]
    near = did_you_mean(str(fault["loc"][-1]), known)
    return f"unknown setting; {near}" if near else "unknown setting"


def reason_of(fault: Mapping[str, Any]) -> str:
    """What is wrong with a value, in words that name no type of pydantic's."""
    words = _SAID.get(fault["type"])
    if words is None:
        return re.sub(r"^(Value error, |Input should be (a valid )?)", _begin, str(fault["msg"]))
    bounds = (fault.get("ctx") or {}).items()
    return words.format_map({key: f"{value:g}" if isinstance(value, float) else value for key, value in bounds})


def _begin(found: re.Match[str]) -> str:
    return "" if found.group().startswith("Value") else "not "


# Words for pydantic's, which name its own types.
_SAID = {
    "float_parsing": "not a number",
    "float_type": "not a number",
    "int_parsing": "not a whole number",
    "int_type": "not a whole number",
    "int_from_float": "not a whole number",
    "bool_parsing": "neither true nor false",
    "bool_type": "neither true nor false",
    "string_type": "not a text",
    "finite_number": "not a finite number",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "missing": "is missing",
    "list_type": "not a list",
    "tuple_type": "not a list",
    "dict_type": "not a table",
    "model_type": "not a table",
    "model_attributes_type": "not a table",
}
