"""Name a conversation for the prompt cache of OpenAI, so that its requests reach the server that holds it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from llmcli.messages import ModelMessage, ModelRequest, SystemPromptPart, UserPromptPart
from llmcli.providers.endpoint import Endpoint

__all__ = ["cache_key"]


def cache_key(endpoint: Endpoint, messages: Sequence[ModelMessage]) -> str | None:
    """The `prompt_cache_key` of a history: the same for all its turns. None where the API is not OpenAI's own.

    It is a hash of how the conversation begins, and tells nothing of it.
    """
    if endpoint.provider.name != "openai" or not endpoint.is_home or not messages:
        return None
    first = messages[0]
    parts = first.parts if isinstance(first, ModelRequest) else ()
    texts = [
        part.content if isinstance(part, SystemPromptPart) else part.text
        for part in parts
        if isinstance(part, SystemPromptPart | UserPromptPart)
    ]
    return f"llmcli-{hashlib.sha256(repr(texts).encode('utf-8', 'backslashreplace')).hexdigest()[:32]}"
