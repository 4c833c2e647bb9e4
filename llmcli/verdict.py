"""Decide whether a reply is whole and has the form that the options require."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmcli.errors import IncompleteReply, LlmcliError, NetworkError, ReplyMismatch, ToolDeclined
from llmcli.messages import ModelResponse

if TYPE_CHECKING:
    from llmcli.schema import Fit, Shape

__all__ = ["Verdict", "closed_code_block", "judge"]


@dataclass(slots=True)
class Verdict:
    """What is to be said of a reply that ended by itself."""

    error: LlmcliError | None = None
    """What is missing from it; None for a reply that is whole and fits."""
    notes: list[str] = field(default_factory=list)
    """What is no error, but worth a line on stderr."""
    output: str | None = None
    """What stdout gets in the place of the text, where a part of the reply was asked for."""
    fit: Fit | None = None
    """The reply as JSON, where it fits the schema that was asked for."""


def judge(
    response: ModelResponse,
    *,
    extract: bool = False,
    allow_incomplete: bool = False,
    shape: Shape | None = None,
    get: str | None = None,
    declined: Sequence[tuple[str, str]] = (),
) -> Verdict:
    """Judge a reply that no error ended.

    `extract` asks for its first code block, `shape` for JSON that fits it, and `get` for one value of that.
    `declined` has the name and the decision of each tool call that was declined.
    """
    verdict = Verdict(_shortfall(response))
    if isinstance(verdict.error, IncompleteReply) and allow_incomplete:
        verdict.notes.append(verdict.error.message)
        verdict.error = None
    if response.finish_reason == "stop" and not response.text and declined:
        verdict.error = _declined(declined)
    elif response.finish_reason == "stop" and not response.text:
        verdict.notes.append("the reply is whole, but has no text")
    if extract and verdict.error is None:
        verdict.output = closed_code_block(response.text)
        if verdict.output is None:
            verdict.error = ReplyMismatch("the reply has no fenced code block that is closed")
    if shape and verdict.error is None:
        _judge_json(response.text, shape, get, verdict)
    return verdict


def _declined(calls: Sequence[tuple[str, str]]) -> ToolDeclined:
    names = dict.fromkeys(name for name, _ in calls)
    unasked = [name for name, decision in calls if decision == "unasked"]
    hint = None
    if unasked:
        hint = f"to allow the call: --allow {shlex.quote(unasked[0])}"
    elif "denied" in (decision for _, decision in calls):
        hint = "a deny rule of the options or settings covers it"
    return ToolDeclined(f"the reply has no text, because tool calls were declined: {', '.join(names)}", hint=hint)


def _judge_json(text: str, shape: Shape, get: str | None, verdict: Verdict) -> None:
    from llmcli.schema import Fit

    found = shape.judge(text)
    if isinstance(found, Fit):
        verdict.fit = found
        output = found.get(get) if get else found.printed
        if isinstance(output, str):
            verdict.output = f"{output}\n"
            return
        found = output
    what = "" if found.rule == "get" else "the reply does not fit the schema: "
    verdict.error = ReplyMismatch(f"{what}{found.message}")


def _shortfall(response: ModelResponse) -> LlmcliError | None:
    """What is missing from the reply by its finish reason; None for a whole one."""
    reason, word = response.finish_reason, response.finish_word
    if reason == "stop":
        return None
    if reason == "error":
        return NetworkError(f"the provider ended the reply with the finish reason {word}", kind="stream")
    if reason == "length":
        return IncompleteReply("the reply is cut: it reached its token limit", reason="length")
    if reason == "content_filter":
        if word and word.startswith("refusal"):
            why = word.partition(": ")[2] or " ".join(response.text.split())
            return IncompleteReply(
                f"the model refused to answer: {why[:200]}" if why else "the model refused to answer"
            )
        return IncompleteReply(f"the provider withheld the reply or a part of it ({word or 'content filter'})")
    if reason == "tool_call":
        names = ", ".join(response.tool_names) or "unnamed"
        return IncompleteReply(f"the model called a tool, and none was offered: {names}")
    why = f"its finish reason is {word}" if word else "it ended without a finish reason"
    return IncompleteReply(f"the reply is not whole: {why}")


def closed_code_block(text: str) -> str | None:
    """The content of the first fenced code block (CommonMark 0.31, 4.5); None where none is, or it is not closed."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    for number, line in enumerate(lines):
        opening = re.match(r" {0,3}(`{3,}|~{3,})([^\n]*)", line)
        if not opening or (opening[1][0] == "`" and "`" in opening[2]):
            continue
        fence, indent = opening[1], len(line) - len(line.lstrip(" "))
        block: list[str] = []
        for inner in lines[number + 1 :]:
            closing = re.match(r" {0,3}(`{3,}|~{3,})\s*$", inner)
            if closing and closing[1][0] == fence[0] and len(closing[1]) >= len(fence):
                return "".join(block)
            block.append(re.sub(f"^ {{0,{indent}}}", "", inner))
        return None
    return None
