"""Offline test models: no key, no network; each name is one course of a reply, such as `test:length`.

| model | does |
|---|---|
| `test` | answers "success (no tool calls)", with a schema the smallest JSON that fits it |
| `test:echo` | repeats the prompt, byte for byte |
| `test:markdown` | streams a long answer with headings, lists, a table, code and wide characters |
| `test:thinking` | sends reasoning first |
| `test:slow` | takes a tenth of a second a word, without end |
| `test:stall` | sends one word, then nothing more |
| `test:empty` | a whole reply without a word |
| `test:cut` | the connection breaks in the middle |
| `test:incomplete` | ends without a finish reason |
| `test:length`, `test:content_filter`, `test:tool_call` | ends for this reason |
| `test:unknown-usage` | sends no token counts |
| `test:error-STATUS` | fails with this HTTP status, as `test:error-429` |
| `test:midstream-error` | fails after half an answer |
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import partial

from llmcli.errors import NetworkError, UserError
from llmcli.messages import (
    FinishReason,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ModelSettings,
    StreamEvent,
    SystemPromptPart,
    UserPromptPart,
)
from llmcli.models import Model
from llmcli.models.event_builder import Reply
from llmcli.models.http.provider_errors import provider_error
from llmcli.providers.endpoint import Cloud, Endpoint
from llmcli.usage import Usage

_MARKDOWN = """\
# The harbour at night

A *quiet* evening: **seven boats** came in, and [nobody](https://example.com/harbour) looked up. 夜の港 🌙 was
all the log said — `wind: 2 Bft`.

## What was unloaded

- barrels of olive oil
  - pressed in spring
  - pressed in autumn
- a crate marked `größe 8`
- 三箱のお茶 (three boxes of tea)

1. Count everything.
2. Sign for it.
3. Go home.

| cargo | crates | worth |
|:--|--:|:-:|
| oil | 12 | 340 € |
| お茶 | 3 | 95 € |
| 🐟 fish | 40 | 180 € |

## How it was counted

```python
def worth(cargo: dict[str, tuple[int, float]]) -> float:
    \"\"\"Sum of crates times price.\"\"\"
    return sum(crates * price for crates, price in cargo.values())
```

> Nobody signs for the fish.
> It is always like that.

---

The rest is in the *harbour book*, page 14.
"""

_FINISHES: Mapping[str, FinishReason] = {
    "length": "length",
    "content_filter": "content_filter",
    "tool_call": "tool_call",
}
_PLAIN = "success (no tool calls)"
_BEHAVIOURS = ("test", "echo", "markdown", "thinking", "slow", "stall", "empty", "cut", "incomplete", "unknown-usage")
_BROKEN = ("midstream-error", *_FINISHES)
_WORD = re.compile(r"\s*\S+\s*")


class TestModel(Model):
    """An offline model that behaves as the table above says. Estimates its usage as PydanticAI's TestModel does."""

    __test__ = False  # pytest takes any Test* for a test class

    def __init__(self, endpoint: Endpoint | None = None, model: str = "test", cloud: Cloud | None = None) -> None:
        name = endpoint.provider.name if endpoint else "test"
        if model not in (*_BEHAVIOURS, *_BROKEN) and not re.fullmatch(r"error-[45]\d\d", model):
            known = ", ".join((*_BEHAVIOURS, *_BROKEN, "error-STATUS"))
            raise UserError(f"Unknown model: {name}:{model}", hint=f"it knows {known}")
        self.model = model
        self.id = f"{name}:{model}"

    def stream(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> Generator[StreamEvent]:
        """See `Model.stream`."""
        if self.model.startswith("error-"):
            body = {"error": {"message": "this is the error that you ordered"}}
            raise provider_error(self.id, int(self.model.removeprefix("error-")), body)
        reply = Reply(self.id)
        yield from reply.start(self.model)
        answer = ""
        for piece in self._fitting_pieces(settings) or self._pieces(messages):
            answer += piece
            yield from reply.text(piece)
            if self.model == "slow":
                time.sleep(0.1)
        if self.model == "stall":
            time.sleep(settings.timeout)
            hint = "wait longer with --timeout SECONDS"
            raise NetworkError(f"{self.id}: nothing arrived for {settings.timeout:g} s", kind="timeout", hint=hint)
        yield from reply.flush()
        if self.model == "cut":
            raise NetworkError(f"{self.id}: the connection broke", hint="try again")
        if self.model == "midstream-error":
            raise provider_error(self.id, None, {"error": {"type": "overloaded_error", "message": "Overloaded"}})
        if self.model == "tool_call":
            reply.call(0, "get_weather", '{"city": "Paris"}')
        reply.finish = None if self.model == "incomplete" else _FINISHES.get(self.model, "stop")
        if self.model != "unknown-usage":
            yield from reply.usage(partial(estimate, messages, answer))
        yield from reply.end()

    def _fitting_pieces(self, settings: ModelSettings) -> list[str]:
        """Of `test` with a schema: the smallest JSON that fits it."""
        if settings.schema is None or self.model != "test":
            return []
        from llmcli.schema.example import example

        return words_of(json.dumps(example(settings.schema), ensure_ascii=False))

    def _pieces(self, messages: Sequence[ModelMessage]) -> Iterator[str]:
        prompt = _last_prompt(messages)
        whole = {
            "echo": prompt,
            "markdown": _MARKDOWN,
            "empty": "",
            "stall": "Once ",
            "thinking": f"<think>{prompt}? Let me see.</think>It is as you say.",
        }.get(self.model, _PLAIN)
        if self.model in ("cut", "incomplete", "midstream-error", "length"):
            whole = "This answer stops in the mid"
        if self.model == "slow":
            while True:
                yield from _WORD.findall(f"{whole}\n")
        yield from words_of(whole)


def words_of(text: str) -> list[str]:
    """The words of a text, each with the blanks behind it; a single word in two halves, as PydanticAI's TestModel."""
    pieces = _WORD.findall(text) or ([text] if text else [])
    if len(pieces) != 1:
        return pieces
    middle = len(text) // 2
    return [text[:middle], text[middle:]]


def _last_prompt(messages: Sequence[ModelMessage]) -> str:
    request = next((message for message in reversed(messages) if isinstance(message, ModelRequest)), None)
    if request is None:
        return ""
    return "\n\n".join(part.text for part in request.parts if isinstance(part, UserPromptPart))


def estimate(messages: Sequence[ModelMessage], answer: str) -> Usage:
    """50 tokens for the request itself and one for each word, split as PydanticAI's TestModel does."""
    request, response = 50, _words(answer)
    for message in messages:
        if isinstance(message, ModelResponse):
            response += _words(message.text)
        else:
            request += sum(_words(part.text) for part in message.parts if isinstance(part, UserPromptPart))
            request += sum(_words(part.content) for part in message.parts if isinstance(part, SystemPromptPart))
    return Usage(1, request, response, request + response)


def _words(text: str) -> int:
    return len(re.split(r'[\s",.:]+', text.strip())) if text.strip() else 0
