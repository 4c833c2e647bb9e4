"""Run the tool calls of a reply: find each tool, get approval, run it, and make its result a message."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Protocol

from llmcli.messages import (
    Attachment,
    Decision,
    ModelRequest,
    RequestPart,
    ToolCallPart,
    ToolDefinition,
    ToolResult,
    ToolReturnPart,
    UserPromptPart,
)

__all__ = ["Approve", "RunnableTool", "ToolRun", "definitions"]

_CANCELLED = "The user cancelled the call."


class ToolOutcome(Protocol):
    """What a tool returns: text for the model, and files beside it."""

    @property
    def content(self) -> str:
        """The result, or the message of an error."""

    @property
    def is_error(self) -> bool:
        """Whether the call failed."""

    @property
    def files(self) -> tuple[Attachment, ...]:
        """Files of the result."""


class RunnableTool(Protocol):
    """A tool, see `llmcli.tools.tool.Tool`."""

    @property
    def name(self) -> str:
        """The name that the model calls it by."""

    @property
    def description(self) -> str:
        """What it does, for the model."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The JSON Schema of its arguments."""

    def run(self, args: Mapping[str, Any]) -> ToolOutcome:
        """Call it, and wait for the result."""


class Approval(Protocol):
    """The decision on one call; without `args` it does not run, and the model gets the `reason`."""

    @property
    def decision(self) -> Decision:
        """By which rule or answer."""

    @property
    def args(self) -> Mapping[str, Any] | None:
        """The arguments to run it with."""

    @property
    def reason(self) -> str:
        """Why it does not run."""


Approve = Callable[[Any, Mapping[str, Any]], Approval]
"""Decides on a call of a tool with these arguments. May raise KeyboardInterrupt."""


def definitions(tools: Sequence[RunnableTool]) -> tuple[ToolDefinition, ...]:
    """The tools as the model sees them."""
    return tuple(ToolDefinition(tool.name, tool.description, tool.parameters) for tool in tools)


class ToolRun:
    """The calls of one reply. `request` gives the message that answers them, at any moment."""

    def __init__(
        self,
        calls: Sequence[ToolCallPart],
        tools: Sequence[RunnableTool],
        approve: Approve | None,
        takes: Callable[[Attachment], bool],
    ) -> None:
        self._calls = calls
        self._tools = {tool.name: tool for tool in tools}
        self._approve = approve
        self._takes = takes
        self._results: list[ToolReturnPart] = []
        self._files: list[Attachment] = []

    def run(self) -> Generator[ToolResult]:
        """Run one call after the other. A failure is a result; only what stops the program is raised."""
        for call in self._calls:
            started = time.monotonic()
            decision, content, failed = self._one(call)
            told = {"metadata": {"decision": decision}}  # the field of PydanticAI that no model gets to see
            part = ToolReturnPart(call.tool_name, content, call.tool_call_id, failed, extra=told)
            self._results.append(part)
            yield ToolResult(part, decision, time.monotonic() - started)

    def request(self) -> ModelRequest:
        """The results so far, with each call that has none answered as cancelled."""
        done = {id(call) for call, _ in zip(self._calls, self._results, strict=False)}
        missing = [call for call in self._calls if id(call) not in done]
        cancelled = [ToolReturnPart(one.tool_name, _CANCELLED, one.tool_call_id, is_error=True) for one in missing]
        parts: list[RequestPart] = [*self._results, *cancelled]
        if self._files:
            parts.append(UserPromptPart.of("The files that the tools returned.", tuple(self._files)))
        return ModelRequest(tuple(parts))

    def _one(self, call: ToolCallPart) -> tuple[Decision, str, bool]:
        tool = self._tools.get(call.tool_name)
        if tool is None:
            return "denied", f"There is no tool {call.tool_name!r}. There are: {', '.join(self._tools)}.", True
        try:
            args = call.args if isinstance(call.args, dict) else json.loads(call.args or "{}")
        except (ValueError, RecursionError) as error:
            return "denied", f"The arguments are not JSON: {error}", True
        if not isinstance(args, dict):
            return "denied", "The arguments are not a JSON object.", True
        decision: Decision = "allowed"
        if self._approve:
            approval = self._approve(tool, args)
            decision = approval.decision
            if approval.args is None:
                return decision, approval.reason or "The call was declined.", True
            args = dict(approval.args)
        try:
            outcome = tool.run(args)
        except Exception as error:  # noqa: BLE001 - a tool may raise anything, and the model gets told
            return decision, f"{type(error).__name__}: {error}", True
        taken = [file for file in outcome.files if self._takes(file)]
        self._files += taken
        left_out = [file.media_type for file in outcome.files if file not in taken]
        note = f"\n[left out, as this model takes no such file: {', '.join(left_out)}]" if left_out else ""
        return decision, outcome.content + note, outcome.is_error
