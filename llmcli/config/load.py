"""Settings: who wins is stated once, here. Option, then environment, then settings file, then default."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmcli.errors import SettingsError, UserError
from llmcli.paths import config_folder
from llmcli.providers.credentials import key_sources
from llmcli.providers.table import PROVIDERS, Provider
from llmcli.secrets import public_address

if TYPE_CHECKING:
    from llmcli.config.schema import ProviderSettings, SettingsFile

__all__ = ["DEFAULTS", "Config", "Setting", "bare_config", "config_path", "load_config", "parsed"]

# Every setting, with what holds where nobody says anything. LLMCLI_<NAME> is its variable, most have an option.
DEFAULTS: Mapping[str, object] = {
    "model": None,
    "system": None,
    "temperature": None,
    "top_p": None,
    "max_tokens": None,
    "seed": None,
    "stop": (),
    "effort": None,
    "user_id": None,
    "timeout": 600.0,
    "retries": 2,
    "fallback_on": (),
    "request_limit": None,
    "request_tokens_limit": None,
    "response_tokens_limit": None,
    "total_tokens_limit": None,
    "max_cost": None,
    "allow_unknown_cost": False,
    "format": "auto",
    "thinking": None,
    "usage": None,
    "theme": "auto",
    "color": None,
    "stream": True,
    "lenient": False,
    "allow_incomplete": False,
    "edit_mode": "emacs",
    "proxy": None,
    "ca_file": None,
}


@dataclass(frozen=True)
class Setting:
    """A value in force, and where it came from: "option", a variable's name, the file's path or "default"."""

    value: Any
    source: str


@dataclass(frozen=True)
class Config:
    """The settings in force, the rows of all providers, the aliases of models.

    `own` is what the file says of providers, header values left out.
    """

    path: Path
    settings: Mapping[str, Setting] = field(default_factory=dict)
    providers: Mapping[str, Provider] = field(default_factory=lambda: PROVIDERS)
    aliases: Mapping[str, str] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        """The value in force of one setting."""
        return self.settings[name].value

    def chain(self, name: str) -> list[str]:
        """The models of a name: the members of a chain, which has commas, each alias replaced by what it stands for."""
        members = [self.aliases.get(one.strip(), one) for one in name.split(",")]
        return [one.strip() for member in members for one in member.split(",")]

    def model_name(self, environ: Mapping[str, str]) -> tuple[str, str | None]:
        """The model as it was asked for, and a line for the person where nobody chose it.

        Without a choice it is the default model of the first provider that has a key, or another login.
        Raises SettingsError where there is none.
        """
        if (name := self["model"]) is not None:
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
    """What is in force where the settings are broken: the options, and the defaults; but a script gets its format."""
    form = {"format": os.environ.get(_variable("format"))}
    return Config(Path(), _in_force((options, "option"), (form, None), (DEFAULTS, "default")))


def load_config(options: Mapping[str, object], environ: Mapping[str, str] = os.environ) -> Config:
    """Read the settings file and the environment, and put the given `options` (None: not given) over both.

    Raises SettingsError that says where: file, line and column, key, or variable.
    """
    path = config_path(environ)
    file = _read(path)
    variables = _from_environ(environ)
    in_file = {"model": file.model, **dict(file.defaults), **dict(file.limits)} if file else {}
    settings = _in_force((options, "option"), (variables, None), (in_file, str(path)), (DEFAULTS, "default"))
    rows = _connected(_rows(file.providers, path) if file else PROVIDERS, settings, path)
    if not file:
        return Config(path, settings, rows)
    own = {name: _public(row.model_dump(exclude_none=True)) for name, row in file.providers.items()}
    return Config(path, settings, rows, file.aliases, own)


def _public(fields: dict[str, Any]) -> dict[str, Any]:
    """What the file says of a provider, without what may be secret: headers, passwords, words of a command."""
    if "headers" in fields:
        fields["headers"] = dict.fromkeys(fields["headers"], "***")
    for name in fields.keys() & {"base_url", "proxy"}:
        fields[name] = public_address(fields[name])
    if "key_command" in fields:
        fields["key_command"] = f"{fields['key_command'].split(maxsplit=1)[0]} ***"
    return fields


def _in_force(*places: tuple[Mapping[str, object], str | None]) -> dict[str, Setting]:
    """For each setting its value in the first place that has one; a place without a name is the environment."""
    return {
        name: next(
            (
                Setting(values[name], source or _variable(name))
                for values, source in places
                if values.get(name) is not None
            ),
            Setting(None, "default"),
        )
        for name in DEFAULTS
    }


def _variable(name: str) -> str:
    return f"LLMCLI_{name.upper()}"


def _read(path: Path) -> SettingsFile | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
    import tomllib

    from pydantic import ValidationError

    from llmcli.config.schema import SettingsFile

    try:
        return SettingsFile.model_validate(tomllib.loads(content.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text: byte {error.start}") from error
    except ValidationError as error:
        raise SettingsError(f"{path}: {_faults(error)}", hint="the README lists the settings") from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path} is no valid TOML: {error}", hint="correct it, or move it away") from error


def _from_environ(environ: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {name: environ[_variable(name)] for name in DEFAULTS if environ.get(_variable(name))}
    if not found.keys() - {"model"}:
        return found
    from pydantic import ValidationError

    from llmcli.config.schema import Variables

    model = found.pop("model", None)
    try:
        return {"model": model, **dict(Variables.model_validate(found))}
    except ValidationError as error:
        raise SettingsError(f"in the environment: {_faults(error, _variable)}") from error


def parsed(name: str, text: str) -> Any:
    """The value of a setting that a person typed as `text`. Raises UserError where it has no such value."""
    from pydantic import ValidationError

    from llmcli.config.schema import Variables

    try:
        return vars(Variables.model_validate({name: text}))[name]
    except ValidationError as error:
        raise UserError(_faults(error)) from None


def _faults(error: Any, name_of: Any = str) -> str:
    return "; ".join(
        f"{'.'.join(name_of(str(place)) for place in fault['loc'][:3])}: {_fault(fault)}" for fault in error.errors()
    )


def _fault(fault: Mapping[str, Any]) -> str:
    if fault["type"] != "extra_forbidden":
        return str(fault["msg"])
    known = [
        *DEFAULTS,
        "aliases",
        "defaults",
        "limits",
        "providers",
        "base_url",
        "key_env",
        "key_command",
        "headers",
        "protocol",
    ]
    near = difflib.get_close_matches(str(fault["loc"][-1]), known, 1, 0.6)
    return f"unknown setting; did you mean {near[0]}?" if near else "unknown setting"


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
        for setting in {"proxy", "ca_file"} & changes.keys():
            changes[setting] = (changes[setting], f"providers.{name}.{setting} in {path}")
        rows[name] = replace(row, **changes)
    return rows


def _connected(rows: Mapping[str, Provider], settings: Mapping[str, Setting], path: Path) -> Mapping[str, Provider]:
    """The rows with the way out in force for each: what the file says of a provider goes before its defaults."""

    def of(name: str, own: tuple[str, str] | None) -> tuple[str, str] | None:
        one = settings[name]
        if own and one.source in (str(path), "default"):
            return own
        source = f"--{name.replace('_', '-')}" if one.source == "option" else one.source
        return None if one.value is None else (one.value, source)

    return {
        name: replace(row, proxy=of("proxy", row.proxy), ca_file=of("ca_file", row.ca_file))
        for name, row in rows.items()
    }
