"""The tools of a run, from its settings and console: the offered tools, the approval of each call, and warnings."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

from llmcli.calls import Calls
from llmcli.config.load import Config
from llmcli.console import Console
from llmcli.conversation import Conversation
from llmcli.errors import UserError
from llmcli.providers.prices import context_window
from llmcli.tools.approval import Answer, Approval, Ask
from llmcli.tools.names_cache import keep_names
from llmcli.tools.offer import named_toolset, rules_of
from llmcli.tools.tool import Tool
from llmcli.tools.toolset import MCPTool

__all__ = ["Toolbox", "open_toolbox", "token_estimate"]

_SHARE = 0.1  # of the context window; more gets a warning
_CHARACTERS_PER_TOKEN = 4


class Toolbox:
    """The tools that are offered, and the decisions on their calls. `off` names tools that are switched off."""

    def __init__(self, config: Config, console: Console) -> None:
        self._calls = Calls()
        self._toolset = named_toolset(
            config,
            progress=self.show_progress,
            log=console.stderr.line if config.settings.debug else None,
            secrets=console.secrets.add,
        )
        self._console = console
        self.titles: dict[str, str] = {}
        """The `server.tool` of each name on the wire."""
        self.off: set[str] = set()
        self.approve = Approval(rules_of(config), _ask(config, console), console.stderr.line)

    def start(self) -> None:
        """Begin to start the servers; `all` waits for them."""
        self._toolset.start()

    def close(self) -> None:
        """End the servers."""
        self._toolset.close()

    def all(self) -> tuple[Tool, ...]:
        """All tools of the named servers and commands; waits until the servers have started.

        Raises SettingsError, ToolServerError and UserError: see `Toolset.tools`.
        """
        found = self._toolset.tools()
        self.titles |= {tool.name: tool.title for tool in found}
        return found

    def offered(self) -> tuple[Tool, ...]:
        """The tools that are not switched off."""
        return tuple(tool for tool in self.all() if tool.title not in self.off)

    def offer(self, conversation: Conversation, config: Config) -> None:
        """Offer the tools to a conversation. Raises as `all` does."""
        conversation.tools = self.offered()
        conversation.approve = self.approve
        conversation.max_steps = config.settings.max_steps

    def begin_turn(self) -> Calls:
        """The record of the calls of a new turn, which gets the progress of running tools."""
        self._calls = Calls(self.titles)
        return self._calls

    def show_progress(self, title: str, line: str) -> None:
        """Take in a line about a tool that is running."""
        self._calls.progress = line

    def keep_names(self) -> None:
        """Keep the names of the tools for shell completion."""
        keep_names(self._toolset.titles())

    def warnings(self, model: str, config: Config) -> Iterator[str]:
        """What to tell the user before the first request. `model` is the first of the chain, `provider:model`."""
        offered = self.offered()
        allowed = [tool for tool in offered if self.approve.allows(tool)]
        private = [tool.title for tool in allowed if not tool.hints.open_world or not isinstance(tool, MCPTool)]
        outward = [tool.title for tool in allowed if tool.hints.open_world and isinstance(tool, MCPTool)]
        if private and outward:
            yield (
                f"{private[0]} may read private data and {outward[0]} may send data out, and both run without a "
                "question: text that the model reads could make it send your data away"
            )
        window, tokens = context_window(model, config.providers), token_estimate(offered)
        if window and tokens > window * _SHARE:
            yield (
                f"the definitions of {len(offered)} tools take about {tokens:,} tokens of every request, "
                f"{tokens / window:.0%} of the context window; --mcp NAME.GLOB offers a part of a server"
            )


@contextmanager
def open_toolbox(config: Config, console: Console) -> Iterator[Toolbox | None]:
    """Begin to start the named servers, and end them when the context is left; None where no tool is named.

    Raises UserError for unknown names and for a dry run with --no-input, SettingsError for tables that cannot be used.
    """
    settings = config.settings
    if settings.dry_run and settings.no_input and settings.mcp:
        raise UserError(
            "--dry-run starts tool servers to show their tools, and --no-input forbids it",
            hint="leave out --no-input, --dry-run or --mcp",
        )
    if not settings.mcp and not settings.tool:
        yield None
        return
    with closing(Toolbox(config, console)) as toolbox:
        toolbox.start()
        yield toolbox


def token_estimate(tools: Sequence[Tool]) -> int:
    """About how many tokens the definitions take in each request."""
    sizes = (len(json.dumps([tool.name, tool.description, dict(tool.parameters)])) for tool in tools)
    return sum(sizes) // _CHARACTERS_PER_TOKEN


def _ask(config: Config, console: Console) -> Ask | None:
    if config.settings.no_input or os.name == "nt":
        return None
    from llmcli.tools.question import ask_on_terminal

    def ask(tool: Tool, args: Mapping[str, Any]) -> Answer | None:
        console.stderr.fresh_line()
        return ask_on_terminal(tool, args, lambda: console.stderr.room())

    return ask
