"""Totals of a session for the bottom bar and /usage. An unknown value is shown as unknown, never as zero."""

from __future__ import annotations

from dataclasses import dataclass

from llmcli.conversation import Conversation
from llmcli.messages import ModelResponse
from llmcli.providers.prices import context_window
from llmcli.render.streams import harmless
from llmcli.render.usage_line import cost_in_words
from llmcli.repl.session import Session
from llmcli.usage import Usage

__all__ = ["Spent", "bar", "spent"]


@dataclass
class Spent:
    """Usage and cost of several replies."""

    usage: Usage
    usd: float | None = None
    """The cost as far as it is known; None: unknown."""
    unpriced: int = 0
    """The number of replies whose cost is unknown, and missing from `usd`."""
    told: bool = True
    """Whether all amounts came from the vendors."""

    def add(self, usage: Usage, usd: float | None) -> None:
        """One more reply."""
        self.usage += usage
        if usd is None:
            self.unpriced += 1
        else:
            self.usd = (self.usd or 0.0) + usd
            self.told = self.told and (usage.cost is not None or not usd)

    @property
    def cost(self) -> str:
        """The cost as text, marked as an estimate and as incomplete where it is."""
        words = cost_in_words(self.usd, told=self.told, about=self.usage.estimated)
        return f"{words} + unknown" if self.unpriced and self.usd else words


def spent(conversation: Conversation, model: str | None = None) -> Spent:
    """The usage of one `provider:model`, or of all."""
    found = Spent(Usage())
    for name, usage in conversation.replies:
        if model in (None, name):
            found.add(usage, conversation.price(name, usage))
    return found


def bar(session: Session) -> str:
    """Model, tokens of the conversation against the window, cost so far; window and cost once the prices are loaded."""
    conversation = session.conversation
    parts = [session.model_name, _tokens(session)]
    if conversation.replies and session.prices_loaded:
        parts.append(spent(conversation).cost)
    if waiting := len(session.files) + len(session.attachments):
        parts.append(f"{waiting} file{'s' * (waiting > 1)} waiting")
    if session.saver.recorder.recording.name:
        parts.append(session.saver.recorder.recording.name)
    return " ".join(harmless(" · ".join(filter(None, parts))).split())


def _tokens(session: Session) -> str:
    """The tokens of the last request and its reply, with which the next request begins."""
    messages = session.conversation.messages
    used, about = None, False
    if not messages:
        used = 0
    elif isinstance(last := messages[-1], ModelResponse):
        used = last.usage.total_tokens
        if last.finish_reason != "stop":
            used, about = _estimate(session.conversation, used)
    window = None
    if session.prices_loaded:
        window = context_window(session.config.chain(session.model_name)[0], session.config.providers)
    if not messages and window is None:
        return ""
    count = "unknown" if used is None else f"{'~' if about else ''}{used:,}"
    return f"{count} of {_rounded(window)} tokens" if window else f"{count} tokens"


def _estimate(conversation: Conversation, told: int | None) -> tuple[int | None, bool]:
    """The tokens of the last request and reply, and whether they are an estimate; else `told`, which is exact."""
    last = conversation.replies[-1][1] if conversation.replies else None
    return (last.total_tokens, True) if last and last.estimated else (told, False)


def _rounded(count: int) -> str:
    """Format a number of tokens briefly: 1,050,000 is 1.05M."""
    return f"{count / 1e6:.3g}M" if count >= 1_000_000 else f"{count / 1e3:.3g}k" if count >= 1000 else str(count)
