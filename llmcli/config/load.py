"""Load the settings in force. Precedence: option, prompt file, environment, settings file, default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmcli.config.settings import FIELDS, Settings, default_of, flag, meta_of, variable
from llmcli.errors import SettingsError, UserError
from llmcli.paths import config_folder, read_file
from llmcli.providers.credentials import key_sources
from llmcli.providers.lookup import FAMILIES, split_chain, split_model
from llmcli.providers.table import PROVIDERS, OwnPrice, Provider
from llmcli.secrets import public_address

if TYPE_CHECKING:
    from llmcli.config.schema import ProviderSettings

__all__ = ["Config", "bare_config", "config_path", "load_config", "parsed"]


@dataclass(slots=True)
class Config:
    """The settings in force, the rows of all providers, and the aliases of models."""

    path: Path
    """The settings file, whether it exists or not."""
    settings: Settings = field(default_factory=Settings)
    sources: Mapping[str, str] = field(default_factory=dict)
    """Where each setting comes from: "option", the name of a variable, the path of the file, or "default"."""
    providers: Mapping[str, Provider] = field(default_factory=lambda: PROVIDERS)
    aliases: Mapping[str, str] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The provider tables of the settings file, without values of headers."""
    mcp: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The tables `[mcp.NAME]`, without the fields that are not given."""
    tools: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The tables `[tools.NAME]`, likewise."""

    def changed(self, name: str, value: Any, source: str) -> Config:
        """A copy in which one setting has another value."""
        settings = replace(self.settings, **{name: value})
        return replace(self, settings=settings, sources={**self.sources, name: source})

    def public_tables(self) -> dict[str, dict[str, Any]]:
        """The tables of tool servers and own commands, without what may be secret."""
        named = {"mcp": self.mcp, "tools": self.tools}
        return {title: {name: _public(one) for name, one in tables.items()} for title, tables in named.items()}

    def chain(self, name: str) -> list[str]:
        """The models of a name: the members of a chain, which has commas, each alias replaced by what it stands for."""
        members = [self.meaning(one) for one in split_chain(name)]
        return [one for member in members for one in split_chain(member)]

    def meaning(self, word: str) -> str:
        """What an alias, or the word of a family such as `sonnet`, stands for; any other name is itself."""
        if word in self.aliases:
            return self.aliases[word]
        if word in FAMILIES:
            from llmcli.providers.catalogue import newest_of_family

            return newest_of_family(word) or word
        return word.replace(",", "\\,")

    def model_name(self, environ: Mapping[str, str]) -> tuple[str, str | None]:
        """The model as the user wrote it, and a line for stderr if llmcli chose the model itself.

        Without a choice it is the default model of the first provider that has a key, or another login.
        Raises SettingsError where there is none.
        """
        if (name := self.settings.model) is not None:
            return name, None
        for row in self.providers.values():
            login = any(environ.get(name, "").strip() for name in row.login_env)
            if row.models and (login or key_sources(row, environ)):
                name = f"{row.name}:{row.models[0]}"
                return name, f"using {name}, because its key is set; choose with -m or LLMCLI_MODEL"
        raise SettingsError(
            "no model: none was named, and no provider has a key",
            hint="llmcli keys set openai, or export another provider's (`llmcli providers`), or try -m test:markdown",
            kind="credentials",
        )


def config_path(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the settings file is looked for: below LLMCLI_HOME, else in the platform's folder."""
    return config_folder(environ) / "config.toml"


def bare_config(options: Mapping[str, object]) -> Config:
    """The settings where file and environment cannot be read: options, defaults, and LLMCLI_FORMAT for scripts."""
    form = {"format": os.environ.get(variable("format"))}
    return Config(Path(), *_in_force((_given(options), "option"), (form, None)))


def load_config(
    options: Mapping[str, object],
    environ: Mapping[str, str] = os.environ,
    *,
    template: Mapping[str, object] | None = None,
) -> Config:
    """Read the settings file and the environment, and put the given `options` (None: not given) over both.

    The settings of a prompt file, `template`, go before the environment, and after the options. Raises SettingsError
    that says where: file, line and column, key, or variable.
    """
    path = config_path(environ)
    file = _read(path)
    variables = _from_environ(environ)
    in_file = {**_top_level(file), **dict(file.defaults), **dict(file.limits)} if file else {}
    in_file |= {f"privacy_{name}": value for name, value in file.privacy} if file else {}
    settings, sources = _in_force(
        (_given(options), "option"), (template or {}, "prompt file"), (variables, None), (in_file, str(path))
    )
    rows = _priced(_rows(file.providers, path), file.prices, path) if file else PROVIDERS
    rows = _connected(rows, settings, sources, path)
    if not file:
        return Config(path, settings, sources, rows)
    own = {name: _public(row.model_dump(exclude_none=True)) for name, row in file.providers.items()}
    servers = {name: one.model_dump(exclude_none=True) for name, one in file.mcp.items()}
    tools = {name: one.model_dump(exclude_none=True) for name, one in file.tools.items()}
    return Config(path, settings, sources, rows, file.aliases, own, servers, tools)


def _top_level(file: Any) -> dict[str, Any]:
    """The settings that stand in no table."""
    return {name: value for name, value in file if name in FIELDS and meta_of(name).table == ""}


def _public(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A table of the file without what may be secret: headers, variables, passwords, words of a command for a key."""
    fields = dict(fields)
    for name in fields.keys() & {"headers", "env"}:
        fields[name] = dict.fromkeys(fields[name], "***")
    for name in fields.keys() & {"base_url", "proxy", "url"}:
        fields[name] = public_address(fields[name])
    if "key_command" in fields:
        fields["key_command"] = f"{(fields['key_command'].split(maxsplit=1) or [''])[0]} ***"
    return fields


def _given(options: Mapping[str, object]) -> dict[str, object]:
    """The options that were given: an option that may be repeated and was not is an empty list."""
    given = {name: value for name, value in options.items() if value is not None and value != []}
    if isinstance(models := given.get("model"), list):  # -m may be repeated
        given["model"] = models[0]
        if len(models) > 1:
            raise UserError("several models at once answer one prompt only", hint='llmcli -m A -m B "prompt"')
    if given.get("json"):
        given["format"] = "json"
    return given


def _in_force(*places: tuple[Mapping[str, object], str | None]) -> tuple[Settings, dict[str, str]]:
    """Each setting's value from the first place that has one, and its source; a place named None is the environment."""
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name in FIELDS:
        value, source = default_of(name), "default"
        for place, label in places:
            if place.get(name) is not None:
                value, source = place[name], label or variable(name)
                break
        values[name], sources[name] = value, source
    return Settings(**values), sources


def _read(path: Path) -> Any:
    try:
        content, _ = read_file(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
    import tomllib

    from pydantic import ValidationError

    from llmcli.config.schema import SettingsFile, faults

    try:
        return SettingsFile.model_validate(tomllib.loads(content.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text: byte {error.start}") from error
    except ValidationError as error:
        raise SettingsError(f"{path}: {faults(error)}", hint="the README lists the settings") from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}", hint="correct it, or move it away") from error


def _from_environ(environ: Mapping[str, str]) -> dict[str, object]:
    names = [name for name in FIELDS if meta_of(name).env]
    found: dict[str, object] = {name: environ[variable(name)] for name in names if environ.get(variable(name))}
    if not found.keys() - {"model"}:
        return found
    from pydantic import ValidationError

    from llmcli.config.schema import Variables, faults

    try:
        return dict(Variables.model_validate(found))
    except ValidationError as error:
        raise SettingsError(f"in the environment: {faults(error, variable)}") from error


def parsed(name: str, text: str) -> Any:
    """The value of a setting that a person typed as `text`. Raises UserError where it has no such value."""
    from pydantic import ValidationError

    from llmcli.config.schema import Variables, faults

    try:
        return dict(Variables.model_validate({name: text}))[name]
    except ValidationError as error:
        raise UserError(faults(error)) from None


def _rows(own: Mapping[str, ProviderSettings], path: Path) -> Mapping[str, Provider]:
    """The table with the file's changes and additions."""
    rows = dict(PROVIDERS)
    for name, settings in own.items():
        changes = settings.model_dump(exclude_none=True)
        name = next((row.name for row in rows.values() if name in row.names), name)
        row = rows.get(name)
        if row is None:
            if not settings.base_url:
                raise SettingsError(f"{path}: providers.{name}: a provider of one's own needs a base_url")
            row = Provider(name, settings.protocol or "openai", settings.base_url)
        if "protocol" in changes:
            changes["home_protocol"] = None
        if base_url := changes.pop("base_url", None):
            changes["settings_url"] = base_url
        for setting in {*_WAYS} & changes.keys():
            changes[setting] = (changes[setting], f"providers.{name}.{setting} in {path}")
        rows[name] = replace(row, **changes)
    return rows


def _priced(rows: Mapping[str, Provider], prices: Mapping[str, Any], path: Path) -> Mapping[str, Provider]:
    """The rows with the prices of the file, each named by its `provider:model`."""
    found = dict(rows)
    for name, price in prices.items():
        try:
            row, model = split_model(name, found)
        except UserError as error:
            raise SettingsError(f"{path}: prices.{name}: {error.message}", hint=error.hint) from None
        found[row.name] = replace(
            found[row.name], prices={**found[row.name].prices, model: OwnPrice(**price.model_dump())}
        )
    return found


_WAYS = ("proxy", "ca_file", "client_cert", "client_key")
"""The settings that a provider may have of its own."""


def _connected(
    rows: Mapping[str, Provider], settings: Settings, sources: Mapping[str, str], path: Path
) -> Mapping[str, Provider]:
    """The rows with the way out in force for each: what the file says of a provider goes before its defaults."""

    def of(name: str, own: tuple[str, str] | None) -> tuple[str, str] | None:
        source, value = sources[name], getattr(settings, name)
        if own and source in (str(path), "default"):
            return own
        return None if value is None else (value, flag(name) if source == "option" else source)

    return {
        name: replace(
            row,
            proxy=of("proxy", row.proxy),
            ca_file=of("ca_file", row.ca_file),
            client_cert=of("client_cert", row.client_cert),
            client_key=of("client_key", row.client_key),
        )
        for name, row in rows.items()
    }
