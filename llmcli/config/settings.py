"""Every option and setting, declared once: value, flags, help, bounds, and the places where it may be set.

The command line, the sections of `--help`, the model of the settings file, the `LLMCLI_*` variables, `config show`,
`/set`, completion and the table in the README are derived from the fields of `Settings`. To add an option, add a field
and use it.
"""

# No `from __future__ import annotations` here: Typer and pydantic read these annotations, and would evaluate strings.

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, Literal, cast, get_args

from llmcli.config.declare import Meta, given, setting
from llmcli.config.request_settings import RequestSettings
from llmcli.config.saving_settings import SavingSettings

__all__ = ["FIELDS", "SECTIONS", "Meta", "Settings", "default_of", "flag", "kind_of", "meta_of", "names", "variable"]

SECTIONS = ("Prompt", "Reply", "Model", "Tools", "Connection", "Limits", "Saved conversations", "Other")
"""The sections of `--help`, in order."""

Format = Literal["auto", "text", "markdown", "json", "ndjson"]
Theme = Literal["auto", "dark", "light", "ansi", "none"]
EditMode = Literal["emacs", "vi"]


@dataclass(kw_only=True)
class Settings(RequestSettings, SavingSettings):
    """The values in force. Field types are those of the values; None means that no value is set."""

    format: Format = setting(
        "auto",
        "Format of the reply: text, markdown, json or ndjson. Default: auto, which is markdown on a terminal and "
        "text elsewhere.",
        "--format",
        section="Reply",
        metavar="FORMAT",
    )
    json: bool = given(False, "Short for --format json.", "--json", section="Reply", chat=False)
    extract: bool = given(
        False, "Print only the first fenced code block of the reply.", "--extract", "-x", section="Reply", chat=False
    )
    schema: str | None = setting(
        None,
        "Ask for JSON that fits a schema, and print nothing else: fields such as 'name, age int, tags[]', "
        "JSON Schema that begins with {, or @FILE.",
        "--schema",
        section="Reply",
        metavar="SPEC",
        env=False,
    )
    schema_multi: bool = setting(
        False,
        'Ask for several: {"items": [...]}, each of which fits the schema.',
        "--schema-multi/--no-schema-multi",
        section="Reply",
        env=False,
    )
    get: str | None = setting(
        None,
        "Print one value of the JSON, such as items.0.name; text without quotes.",
        "--get",
        section="Reply",
        metavar="FIELD",
        env=False,
    )
    choice: str | None = setting(
        None,
        "Ask for one of these words, and print it alone. Separate them with commas.",
        "--choice",
        section="Reply",
        metavar="A,B,C",
        env=False,
    )
    repair: int = setting(
        1,
        "Number of times to ask again when the reply does not fit the schema. Default: 1.",
        "--repair",
        section="Reply",
        metavar="NUMBER",
        min=0,
        max=100,
    )
    out: str | None = given(
        None,
        "Write the reply to FILE, and only when it is whole (exit code 0). Otherwise it goes to FILE.part.",
        "--out",
        section="Reply",
        metavar="FILE",
        complete="file",
        chat=False,
    )
    thinking: bool | None = setting(
        None,
        "Show all reasoning on stderr, or none. Default: its end, on a terminal.",
        "--thinking/--no-thinking",
        section="Reply",
    )
    usage: bool | None = setting(
        None,
        "Show tokens, cost and times on stderr. Default: when stderr is a terminal.",
        "--usage/--no-usage",
        section="Reply",
    )
    stream: bool = setting(True, "Show text as it arrives, or all at the end.", "--stream/--no-stream", section="Reply")
    theme: Theme = setting(
        "auto", "Colors of Markdown: auto, dark, light, ansi or none.", "--theme", section="Reply", metavar="NAME"
    )
    color: bool | None = setting(
        None, "Use colors, or none. NO_COLOR is honored.", "--color/--no-color", section="Reply"
    )
    allow_incomplete: bool = setting(
        False,
        "Count a truncated reply as success.",
        "--allow-incomplete/--no-allow-incomplete",
        section="Reply",
    )
    mcp: Sequence[str] = given(
        (),
        "Tool server to offer: the name of a [mcp.NAME] table, NAME.GLOB for a part of its tools, a URL, or a command "
        "in quotes. Repeatable.",
        "--mcp",
        section="Tools",
        metavar="NAME_URL_OR_COMMAND",
        complete="mcp",
    )
    tool: Sequence[str] = given(
        (),
        "Own command to offer as a tool: the name of a [tools.NAME] table. Repeatable.",
        "--tool",
        section="Tools",
        metavar="NAME",
        complete="tool",
    )
    allow: Sequence[str] = given(
        (),
        "Run these tools without a question: a glob of SERVER.TOOL, or hint:read-only for trusted servers. Repeatable.",
        "--allow",
        section="Tools",
        metavar="GLOB",
    )
    deny: Sequence[str] = given(
        (), "Never run these tools: a glob of SERVER.TOOL. Repeatable.", "--deny", section="Tools", metavar="GLOB"
    )
    max_steps: int = setting(
        5,
        "Most requests of one prompt when the model calls tools. Default: 5.",
        "--max-steps",
        section="Tools",
        metavar="NUMBER",
        min=1,
        max=1000,
    )
    mcp_file: str | None = setting(
        None,
        "JSON file with mcpServers, relative to the settings file.",
        section="Tools",
        table="",
        env=False,
    )
    max_cost: float | None = setting(
        None,
        "Most USD to spend, by estimate. Requests are refused before and stopped during.",
        "--max-cost",
        section="Limits",
        metavar="USD",
        min=0,
        table="limits",
    )
    allow_unknown_cost: bool = setting(
        False,
        "With --max-cost, accept a model without a known price.",
        "--allow-unknown-cost/--no-allow-unknown-cost",
        section="Limits",
        table="limits",
    )
    request_limit: int | None = setting(
        None, "Most requests.", "--request-limit", section="Limits", metavar="NUMBER", min=0, table="limits"
    )
    request_tokens_limit: int | None = setting(
        None,
        "Most tokens in requests.",
        "--request-tokens-limit",
        section="Limits",
        metavar="NUMBER",
        min=0,
        table="limits",
    )
    response_tokens_limit: int | None = setting(
        None,
        "Most tokens in replies.",
        "--response-tokens-limit",
        section="Limits",
        metavar="NUMBER",
        min=0,
        table="limits",
    )
    total_tokens_limit: int | None = setting(
        None,
        "Most tokens in requests and replies.",
        "--total-tokens-limit",
        section="Limits",
        metavar="NUMBER",
        min=0,
        table="limits",
    )
    edit_mode: EditMode = setting("emacs", "Keys of the input line in a session: emacs or vi.", section="Other")
    print: bool = given(
        False, "Never begin a session: one prompt, one reply.", "--print", "-p", section="Other", chat=False
    )
    no_input: bool = given(False, "Never ask anything.", "--no-input", section="Other")
    yes: bool = given(
        False, "Answer yes to every question, except those about calls of tools.", "--yes", section="Other"
    )
    dry_run: bool = given(
        False,
        "Print the exact request, with the key masked, and send nothing.",
        "--dry-run",
        section="Other",
        chat=False,
    )
    record: str | None = given(
        None,
        "Write the requests and replies to a file, with keys masked; -m replay:FILE answers from it.",
        "--record",
        section="Other",
        metavar="FILE",
    )
    quiet: bool = given(False, "Print only errors on stderr.", "--quiet", "-q", section="Other")
    verbose: bool = given(False, "Print the model, its address and the request ID.", "--verbose", "-v", section="Other")
    debug: bool = given(False, "Print a traceback with an error, keys masked.", "--debug", section="Other")


FIELDS: Mapping[str, Field[Any]] = {one.name: one for one in fields(Settings)}
"""All fields of `Settings` by name, in order."""


def meta_of(name: str) -> Meta:
    """The metadata of a setting."""
    return cast(Meta, FIELDS[name].metadata["meta"])


def default_of(name: str) -> Any:
    """The value in force where nothing sets the setting."""
    default = FIELDS[name].default
    return None if default is MISSING else default


def kind_of(name: str) -> Any:
    """The type of one value of the setting, without None: `float`, `str`, a Literal, or `list[str]` for several."""
    annotation = FIELDS[name].type
    inner = [one for one in get_args(annotation) if one is not type(None)]
    if type(None) in get_args(annotation) and len(inner) == 1:
        return inner[0]
    return list[str] if isinstance(default_of(name), tuple) else annotation


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"LLMCLI_{name.upper()}"


def flag(name: str) -> str:
    """The long flag of a setting, or its name where it has none."""
    flags = meta_of(name).flags
    return flags[0].partition("/")[0] if flags else name


def names(which: Callable[[Meta], object]) -> list[str]:
    """The settings whose metadata satisfies `which`, in order."""
    return [name for name in FIELDS if which(meta_of(name))]
