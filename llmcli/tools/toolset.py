"""The tools of one run: start the named servers in parallel, list their tools, end them with the process."""

from __future__ import annotations

import atexit
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Any, Self

from llmcli.errors import LlmcliError, UserError
from llmcli.providers.network import PLAIN, Network
from llmcli.tools.mcp import MCPServer
from llmcli.tools.mcp_headers import param_headers
from llmcli.tools.mcp_messages import Inbox, Transport
from llmcli.tools.mcp_stdio import Log, StdioTransport
from llmcli.tools.naming import is_selected, shown_name, wire_name
from llmcli.tools.process import end, inherited
from llmcli.tools.servers import ServerEntry
from llmcli.tools.text import clean, clean_json
from llmcli.tools.tool import Hints, Progress, Tool, ToolResult

__all__ = ["MCPTool", "Toolset"]

_LONGEST_NAME, _LONGEST_DESCRIPTION, _LARGEST_SCHEMA = 200, 10_000, 100_000  # characters


@dataclass(slots=True)
class MCPTool:
    """A tool of an MCP server; `own_name` is what the server calls it."""

    server: MCPServer
    entry: ServerEntry
    own_name: str
    name: str
    title: str
    description: str
    parameters: Mapping[str, Any]
    hints: Hints
    progress: Callable[[str, str], None] | None = None

    def run(self, args: Mapping[str, Any]) -> ToolResult:
        """See `Tool.run`."""
        headers = param_headers(self.parameters, args) if self.entry.url else None
        told: Progress | None = None
        if self.progress:
            show, title = self.progress, self.title

            def told(line: str) -> None:
                show(title, line)

        return self.server.call(self.own_name, args, told, headers)

    @property
    def digest(self) -> str:
        """A hash of the definition: an approval ends when it changes."""
        definition = [self.own_name, self.description, self.parameters, repr(self.hints)]
        return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()


class Toolset:
    """Servers and own commands. As a context it ends the servers when it is left.

    `timeout` in seconds is for entries without their own. `progress` gets the title of a tool and a line, `log` the
    lines that servers write to stderr. `secrets` takes the tokens as they are read.
    """

    def __init__(
        self,
        servers: Sequence[ServerEntry],
        commands: Sequence[Tool] = (),
        *,
        environ: Mapping[str, str],
        timeout: float,
        network: Network = PLAIN,
        progress: Callable[[str, str], None] | None = None,
        log: Log | None = None,
        secrets: Callable[..., None] = lambda *texts: None,
    ) -> None:
        self._commands = tuple(commands)
        self._environ = environ
        self._network = network
        self._progress = progress
        self._log = log
        self._secrets = secrets
        self._servers = [
            (entry, MCPServer(entry.name, self._connector(entry, timeout), entry.timeout or timeout))
            for entry in servers
        ]
        self._listed: dict[str, tuple[MCPTool, ...]] = {}
        self._started: SimpleQueue[tuple[int, list[dict[str, Any]] | LlmcliError]] = SimpleQueue()
        self._pending = 0

    def __enter__(self) -> Self:
        """See `start`."""
        self.start()
        return self

    def start(self) -> None:
        """Begin to start the servers; the first use of `tools` waits for them."""
        atexit.register(self.close)
        self._pending = len(self._servers)
        for at in range(len(self._servers)):
            Thread(target=self._open, args=(at,), daemon=True, name=f"start {self._servers[at][0].name}").start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all servers at once, within bounds."""
        atexit.unregister(self.close)
        transports = [server.transport for _, server in self._servers if server.abandon()]
        programs = [one.child for one in transports if isinstance(one, StdioTransport)]
        try:
            end(programs)
        finally:
            for one in transports:
                if one is not None and not isinstance(one, StdioTransport):
                    one.close()

    def tools(self) -> tuple[Tool, ...]:
        """The tools that are offered now; waits for the start, and lists again what has changed.

        Raises SettingsError and ToolServerError of a server that did not start, UserError for a glob without a tool.
        """
        while self._pending:
            at, answer = self._started.get()
            self._pending -= 1
            if isinstance(answer, LlmcliError):
                self._pending = 0
                self.close()
                raise answer
            self._keep(at, answer)
        for at, (_, server) in enumerate(self._servers):
            if server.list_changed:
                with suppress(LlmcliError):  # a call will tell
                    self._keep(at, server.list_tools())
        offered = [tool for entry, _ in self._servers for tool in self._listed[entry.name]]
        return (*offered, *self._commands)

    def titles(self) -> dict[str, list[str]]:
        """What the servers of the settings have listed, by server."""
        return {
            entry.name: [tool.title for tool in self._listed.get(entry.name, ())]
            for entry, _ in self._servers
            if entry.from_settings and not entry.globs
        }

    def _open(self, at: int) -> None:
        try:
            self._started.put((at, self._servers[at][1].open()))
        except LlmcliError as error:
            self._started.put((at, error))
        except Exception as error:  # noqa: BLE001 - the thread that waits must be told
            told = LlmcliError(f"internal error: {type(error).__name__}: {error}")
            told.__cause__ = error
            self._started.put((at, told))

    def _connector(self, entry: ServerEntry, timeout: float) -> Callable[[Inbox], Transport]:
        def connect(inbox: Inbox) -> Transport:
            self._secrets(*entry.secrets)
            if entry.command:
                env = {**inherited(self._environ), **entry.env}
                return StdioTransport(inbox.who, entry.command, env, inbox, self._log)
            from llmcli.tools.mcp_http import HTTPTransport

            token = entry.token(self._environ)
            self._secrets(token)
            seconds = entry.timeout or timeout
            return HTTPTransport(inbox.who, entry.url, inbox, seconds, token, entry.headers, self._network)

        return connect

    def _keep(self, at: int, definitions: Sequence[Mapping[str, Any]]) -> None:
        """Make tools of a server's definitions: those that the entry selects."""
        entry, server = self._servers[at]
        taken = {tool.name for name, tools in self._listed.items() if name != entry.name for tool in tools}
        taken |= {tool.name for tool in self._commands}
        found: list[MCPTool] = []
        seen: set[str] = set()
        for one in definitions:
            name = one.get("name")
            if isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and name not in seen:
                seen.add(name)
                tool = _tool(server, entry, name, one, taken, self._progress)
                if not entry.globs or is_selected(name, entry.globs):
                    taken.add(tool.name)
                    found.append(tool)
        if entry.globs and not found and entry.name not in self._listed:
            names = ", ".join(sorted(map(shown_name, seen))[:20]) or "none"
            raise UserError(f"--mcp: no tool of {entry.name} matches {', '.join(entry.globs)}; it has {names}")
        self._listed[entry.name] = tuple(found)


def _tool(
    server: MCPServer,
    entry: ServerEntry,
    name: str,
    one: Mapping[str, Any],
    taken: set[str],
    progress: Callable[[str, str], None] | None,
) -> MCPTool:
    """A tool from a definition of a server, which may hold anything."""
    description = one.get("description")
    notes = one.get("annotations")
    notes = notes if isinstance(notes, dict) else {}

    def hint(key: str, default: bool) -> bool:
        return notes[key] if isinstance(notes.get(key), bool) else default

    hints = Hints(
        hint("readOnlyHint", False),
        hint("destructiveHint", True),
        hint("idempotentHint", False),
        hint("openWorldHint", True),
    )
    text = clean(description, _LONGEST_DESCRIPTION) if isinstance(description, str) else ""
    wire = wire_name(entry.name, name, taken)
    title = f"{shown_name(entry.name)}.{shown_name(name)}"
    return MCPTool(server, entry, name, wire, title, text, _schema(one.get("inputSchema")), hints, progress)


def _schema(value: object) -> dict[str, Any]:
    """The schema of the arguments; one that is none, or too large, takes any object."""
    schema = clean_json(value)
    if not isinstance(schema, dict) or len(json.dumps(schema)) > _LARGEST_SCHEMA:
        return {"type": "object"}
    return schema if schema.get("type") == "object" else {**schema, "type": "object"}
