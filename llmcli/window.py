"""Warn before a prompt fills the context window of its model."""

from __future__ import annotations

from llmcli.budget import size_of
from llmcli.config.load import Config
from llmcli.console import Console
from llmcli.conversation import Conversation
from llmcli.messages import ModelRequest, ModelResponse, UserPromptPart

__all__ = ["warn_of_window"]

_BYTES_PER_TOKEN = 4
_LEAST = 3_000  # tokens; no window of today is filled by fewer
_SHARE = 0.8  # of the context window; more gets a warning


def warn_of_window(prompt: UserPromptPart, conversation: Conversation, config: Config, console: Console) -> None:
    """Show a warning where the conversation with the prompt takes most of the window of the first model."""
    tokens = _tokens(prompt, conversation)
    if tokens < _LEAST:
        return
    from llmcli.providers.prices import context_window

    model = conversation.model.members[0]
    window = context_window(model.id, config.providers) if ":" in model.id else None
    if not window or tokens <= window * _SHARE:
        return
    of_window = f"the {window:,} of the context window of {model.id}"
    if tokens > window:
        told = f"about {tokens:,} tokens are sent, more than {of_window}"
    else:
        told = f"about {tokens:,} tokens are sent, {tokens / window:.0%} of {of_window}"
    console.stderr.line(f"warning: {told}")


def _tokens(prompt: UserPromptPart, conversation: Conversation) -> int:
    """About how many tokens the next request has: those of the messages so far, and of the prompt."""
    messages = conversation.messages
    last = messages[-1] if messages else None
    told = last.usage.total_tokens if isinstance(last, ModelResponse) else None
    added = size_of([ModelRequest((prompt,))]) // _BYTES_PER_TOKEN
    return added + (size_of(messages) // _BYTES_PER_TOKEN if told is None else told)
