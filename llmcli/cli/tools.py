"""The tools command: list what tool servers and own commands offer, and call a tool by hand."""

import json
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from llmcli.cli.completion import complete_server, complete_tool
from llmcli.cli.typer_ext import QuickCommand, console_of, new_group
from llmcli.config.load import Config, load_config
from llmcli.console import Console
from llmcli.errors import ToolServerError, UserError
from llmcli.inputs import read_text
from llmcli.render.pager import page_table
from llmcli.secrets import public_address
from llmcli.toolbox import token_estimate
from llmcli.tools.approval import hints_text
from llmcli.tools.names_cache import keep_names
from llmcli.tools.offer import known_servers, named_toolset
from llmcli.tools.text import one_line
from llmcli.tools.tool import Tool, ToolResult

app = new_group("Tools: what servers and own commands offer; call one by hand.")

_Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", help="Longest start and longest call.", min=0.001, max=1e6),
]
_Debug = Annotated[bool, typer.Option("--debug", help="Show what the servers write to stderr.")]
_Servers = Annotated[
    list[str] | None,
    typer.Option("--mcp", metavar="URL_OR_COMMAND", help="A server that the settings do not name. Repeatable."),
]


@app.command("list", cls=QuickCommand)
def list_tools(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME_URL_OR_COMMAND",
            help="Tool servers and own commands. Without any: list the names in the settings, and start nothing.",
            show_default=False,
            autocompletion=complete_server,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with the schemas of the arguments.")] = False,
    timeout: _Timeout = None,
    debug: _Debug = False,
) -> None:
    """List the tools of servers and own commands."""
    console = console_of(ctx)
    options = {"timeout": timeout}
    if not names:
        config = load_config(options)
        if as_json:
            console.stdout.write(_known_json(config))
        else:
            page_table(("name", "kind", "program or address"), _known_rows(config, console), console.stdout, whole=(0,))
        return
    own = load_config(options).tools
    commands = [name for name in names if name in own]
    servers = [name for name in names if name not in own]
    with _offered(console, {**options, "mcp": servers, "tool": commands}, debug) as tools:
        if as_json:
            console.stdout.write(_tools_json(tools))
        else:
            page_table(("tool", "description", "hints"), _tool_rows(tools, console), console.stdout, whole=(0,))


@app.command("call", cls=QuickCommand)
def call(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="SERVER.TOOL", help="The tool, or the name of an own command.", autocompletion=complete_tool
        ),
    ],
    args: Annotated[
        str, typer.Argument(metavar="JSON", help="The arguments, an object. - reads them from stdin.")
    ] = "{}",
    mcp: _Servers = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with files in base64.")] = False,
    timeout: _Timeout = None,
    debug: _Debug = False,
) -> None:
    """Call a tool, without asking. The result goes to stdout; the exit code is 4 where the tool reports an error."""
    console = console_of(ctx)
    given = _arguments(args, console)
    config = load_config({"timeout": timeout})
    servers = [*(mcp or [])] if mcp or name in config.tools else [_server_of(name, config)]
    options = {"timeout": timeout, "mcp": servers, "tool": [name] if name in config.tools else []}
    with _offered(console, options, debug) as tools:
        tool = next((one for one in tools if one.title == name), None)
        if tool is None:
            titles = ", ".join(one.title for one in tools[:20]) or "none"
            raise UserError(f"unknown tool {name!r}", hint=f"the tools are {titles}")
        result = tool.run(given)
    console.stdout.write(_result_json(result) if as_json else _result_text(result, console))
    if result.is_error:
        error = ToolServerError(f"{name} reported an error")
        error.exit_code = 4
        raise error


def _server_of(name: str, config: Config) -> str:
    """The server whose tool it is: the longest name of the settings that the name begins with."""
    known = [server for server in known_servers(config) if name.startswith(f"{server}.")]
    return max(known, key=len) if known else name.partition(".")[0]


def _arguments(text: str, console: Console) -> Mapping[str, Any]:
    if text == "-":
        text = read_text("-", "tools call", console.stdin)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"the arguments are not JSON: {error}", hint='for example: \'{"timezone": "UTC"}\'') from None
    if not isinstance(found, dict):
        raise UserError("the arguments are not a JSON object", hint='for example: \'{"timezone": "UTC"}\'')
    return found


@contextmanager
def _offered(console: Console, options: Mapping[str, Any], debug: bool) -> Any:
    """The tools that the options name, of servers that run until the context is left."""
    config = load_config(options)

    def show(title: str, line: str) -> None:
        console.stderr.line(f"{title}: {line}", dim=True)

    toolset = named_toolset(
        config,
        progress=show if console.stderr.is_terminal else None,
        log=console.stderr.line if debug else None,
        secrets=console.secrets.add,
    )
    with toolset:
        tools = toolset.tools()
        keep_names(toolset.titles())
        yield tools


def _known(config: Config) -> list[dict[str, Any]]:
    servers = [
        {"name": one.name, "kind": "server", "runs": public_address(one.url) if one.url else one.command[0]}
        for one in known_servers(config).values()
    ]
    return servers + [
        {"name": name, "kind": "command", "runs": one["command"][0]} for name, one in config.tools.items()
    ]


def _known_json(config: Config) -> str:
    return json.dumps(_known(config), indent=2, ensure_ascii=False) + "\n"


def _known_rows(config: Config, console: Console) -> list[tuple[str, str, str]]:
    rows = [(one["name"], one["kind"], one["runs"]) for one in _known(config)]
    if not rows:
        console.stderr.line(f"note: {config.path} names no tool server and no own command")
    else:
        console.stderr.line(f"note: llmcli tools list {rows[0][0]} shows its tools")
    return rows


def _tools_json(tools: Sequence[Tool]) -> str:
    found = [
        {
            "name": one.title,
            "wire_name": one.name,
            "description": one.description,
            "parameters": one.parameters,
            "hints": {
                "read_only": one.hints.read_only,
                "destructive": one.hints.destructive,
                "idempotent": one.hints.idempotent,
                "open_world": one.hints.open_world,
            },
        }
        for one in tools
    ]
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _tool_rows(tools: Sequence[Tool], console: Console) -> list[tuple[str, str, str]]:
    console.stderr.line(f"note: the definitions take about {token_estimate(tools):,} tokens of every request")
    return [(one.title, one_line(one.description, 70), hints_text(one).partition(", says")[0]) for one in tools]


def _result_json(result: ToolResult) -> str:
    files = [{"name": one.name, "media_type": one.media_type, "data": one.data} for one in result.files]
    return (
        json.dumps({"content": result.content, "is_error": result.is_error, "files": files}, ensure_ascii=False) + "\n"
    )


def _result_text(result: ToolResult, console: Console) -> str:
    for file in result.files:
        console.stderr.line(f"note: {file.media_type}, {len(file.data) * 3 // 4:,} bytes; --json prints it")
    return result.content if not result.content or result.content.endswith("\n") else f"{result.content}\n"
