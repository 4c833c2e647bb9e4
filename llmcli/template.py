"""Prompt files: Markdown with TOML settings between `+++` lines, and placeholders such as `{{input}}` in its text."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

from llmcli.errors import SettingsError, UserError
from llmcli.paths import config_folder, private_file, read_file
from llmcli.spelling import did_you_mean

__all__ = [
    "Found",
    "Template",
    "filler",
    "find_template",
    "given_params",
    "parse_template",
    "template_names",
    "templates_folder",
]

Origin = Literal["own", "repository", "shipped", "path"]

_PLACE = re.compile(r"\{\{\s*([A-Za-z_][\w-]*)\s*\}\}")
_LARGEST = 1 << 20  # bytes of a prompt file
_IN_REPOSITORY = Path(".llmcli") / "templates"
_ALLOWED = "allowed_templates.json"


@dataclass(slots=True)
class Template:
    """A prompt file that was read."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The settings of its front matter, by the names of `Settings`."""
    params: Mapping[str, str] = field(default_factory=dict)
    """The default values of its places."""
    text: str = ""
    """The prompt, with its places."""

    @property
    def wants_input(self) -> bool:
        """Whether the text has the place `{{input}}`."""
        return "input" in self.places

    @property
    def places(self) -> list[str]:
        """The names of the places in the text, each once, in order."""
        return list(dict.fromkeys(_PLACE.findall(self.text)))

    def fill(self, said: str, given: Mapping[str, str], *, input_is_elsewhere: bool = False) -> str:
        """The prompt, with `said` (words and stdin) for `{{input}}` and a value for each other place.

        Raises UserError for a place without a value, a value without a place, and an input that is wanted and empty,
        unless it `is_elsewhere`: in files.
        """
        known = [*self.places, *self.params]
        for name in given:
            if name not in known:
                hint = did_you_mean(name, known) or f"its parameters: {', '.join(known) or 'none'}"
                raise UserError(f"the prompt file {self.name} has no parameter {name}", hint=hint)
        values = {**_built_in(), **self.params, **given, "input": said}
        for name in self.places:
            if name not in values:
                hint = f"add --param {name}=VALUE"
                raise UserError(f"the prompt file {self.name} needs a value for {{{{{name}}}}}", hint=hint)
        if self.wants_input and not said.strip() and not input_is_elsewhere:
            hint = "add words, or send a file: llmcli -t NAME <FILE"
            raise UserError(f"the prompt file {self.name} needs an input; nothing was sent", hint=hint)
        filled = _PLACE.sub(lambda match: values[match[1]], self.text)
        return filled if self.wants_input else "\n\n".join(filter(None, (filled, said)))


@dataclass(slots=True)
class Found:
    """The bytes of a prompt file. Its permission is checked for these bytes, which are then parsed."""

    name: str
    path: Path
    origin: Origin
    content: bytes

    @property
    def digest(self) -> str:
        """The SHA-256 of the content, in hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def needs_permission(self) -> bool:
        """Whether it came with a repository, and was not allowed with this content."""
        return self.origin == "repository" and _allowed().get(str(self.path)) != self.digest

    def allow(self) -> None:
        """Allow this content at this path from now on. Raises SettingsError where that cannot be kept."""
        from llmcli.paths import replace_file

        try:
            path = private_file("data", _ALLOWED)
            replace_file(path, json.dumps({**_allowed(), str(self.path): self.digest}, indent=2).encode())
        except OSError as error:
            raise SettingsError(f"cannot keep the permission: {error.strerror}: {error.filename}") from error


def templates_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of a person's own prompt files, beside the settings file; it may not be there."""
    return config_folder(environ) / "templates"


def find_template(name: str) -> Found:
    """The prompt file of a name, or at a path: what has a slash in it, or ends in `.md`.

    A name is looked for in the templates folder, then in `./.llmcli/templates`, then among those that are shipped.
    Raises UserError where there is none, or it cannot be read.
    """
    if "/" in name or os.sep in name or name.endswith(".md"):
        path = Path(os.path.expanduser(name))
        return Found(name, path, "path", _read(path, name))
    for origin, folder in _folders():
        path = folder / f"{name}.md"
        if path.is_file():
            return Found(name, path.resolve(), origin, _read(path, name))
    hint = did_you_mean(name, [one for one, _, _ in template_names()]) or "llmcli templates lists them"
    raise UserError(f"there is no prompt file {name}", hint=hint)


def template_names() -> list[tuple[str, Origin, Path]]:
    """Name, origin and path of every prompt file that a name finds, the first of each name."""
    found: dict[str, tuple[str, Origin, Path]] = {}
    for origin, folder in _folders():
        try:
            paths = sorted(folder.glob("*.md"))
        except OSError:
            continue
        for path in paths:
            if path.stem.isprintable():
                found.setdefault(path.stem, (path.stem, origin, path))
    return list(found.values())


def parse_template(content: bytes, name: str) -> Template:
    """Read a prompt file. Raises UserError where it is not text, SettingsError where its front matter is wrong."""
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise UserError(f"the prompt file {name} is not UTF-8 text: byte {error.start}") from None
    if text.startswith("#!"):
        text = text.partition("\n")[2]
    front = re.match(r"\s*\+\+\+[ \t]*\n(.*?)^\+\+\+[ \t]*(?:\n|\Z)", text, re.DOTALL | re.MULTILINE)
    if not front and text.lstrip().startswith("+++"):
        raise SettingsError(f"{name}: the front matter has no end", hint="end it with a line +++")
    if not front:
        return Template(name, text=text.strip("\n"))
    from llmcli.config.schema import front_matter

    settings, params = front_matter(front[1], name)
    return Template(name, settings, params, text[front.end() :].strip("\n"))


def given_params(words: Sequence[str]) -> dict[str, str]:
    """The values of `--param KEY=VALUE`. Raises UserError for a word that is no such pair."""
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key or key == "input":
            hint = "{{input}} is the prompt and stdin" if key == "input" else "for example: --param language=French"
            raise UserError(f"--param {word!r} is not KEY=VALUE", hint=hint)
        found[key] = value
    return found


def filler(template: Template | None, params: Sequence[str], *, has_files: bool) -> Callable[[str], str]:
    """What makes the prompt out of words and stdin: the prompt file filled with them, or without one they themselves.

    `params` are the values of --param. Raises UserError for values without a prompt file.
    """
    given = given_params(params)
    if template is None:
        if given:
            raise UserError("--param is for a prompt file", hint="name one with --template")
        return str
    return lambda said: template.fill(said, given, input_is_elsewhere=has_files)


def _folders() -> list[tuple[Origin, Path]]:
    return [
        ("own", templates_folder()),
        ("repository", _IN_REPOSITORY),
        ("shipped", Path(__file__).parent / "templates"),
    ]


def _read(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"cannot read the prompt file {name}: {why}", hint="llmcli templates lists them") from error
    if len(content) > _LARGEST:
        raise UserError(f"the prompt file {name} is larger than {_LARGEST} bytes")
    return content


def _allowed() -> dict[str, str]:
    """The SHA-256 of each file that was allowed, by its path; what cannot be read allows nothing."""
    try:
        allowed = json.loads(read_file(private_file("data", _ALLOWED))[0] or b"{}")
    except (OSError, ValueError, RecursionError):
        return {}
    return allowed if isinstance(allowed, dict) else {}


def _built_in() -> dict[str, str]:
    """The values of places that need none: the shell, the operating system and the date."""
    import platform

    shell = os.path.basename(os.environ.get("SHELL") or ("powershell" if os.name == "nt" else "sh"))
    return {"shell": shell, "system": platform.system() or os.name, "date": date.today().isoformat()}
