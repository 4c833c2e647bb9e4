"""A turn survives exceptions that no code expects: a script gets its JSON object, a session its conversation."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from typing import Any

import pytest

from llmcli.config.load import bare_config
from llmcli.console import Console
from llmcli.conversation import Conversation
from llmcli.messages import ModelMessage, ModelSettings, ReplyStart, StreamEvent, TextDelta
from llmcli.models import Model
from llmcli.turn import run


class Exploding(Model):
    """Says one word, then raises."""

    id = "mine:exploding"

    def __init__(self, error: Exception) -> None:
        self._error = error

    def stream(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> Generator[StreamEvent]:
        """See `Model.stream`."""
        yield ReplyStart(self.id, None)
        yield TextDelta("one ")
        raise self._error


@pytest.mark.parametrize("error", [ZeroDivisionError("by zero"), MemoryError(), RecursionError("deep"), KeyError("x")])
def test_unexpected_exception_ends_the_turn_with_code_1_and_keeps_the_text(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    conversation = Conversation(Exploding(error))
    config = bare_config({"format": "json"})
    result = run(conversation, "hi", config, Console(), model="mine:exploding")
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (result.exit_code, value["exit_code"], value["error"]["kind"]) == (1, 1, "internal")
    assert (value["text"], value["finish_reason"]) == ("one ", "error")
    assert conversation.messages[-1].kind == "response"
