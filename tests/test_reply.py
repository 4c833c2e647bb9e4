"""The reply while it arrives: wherever the text is cut, the same comes out."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcli.conversation import PartialResponse
from llmcli.messages import ModelResponse, StreamEnd, StreamEvent, TextDelta, ThinkingDelta
from llmcli.models.event_builder import Reply


def put(pieces: Iterable[str]) -> tuple[list[StreamEvent], ModelResponse]:
    reply = Reply("x:y")
    reply.finish = "stop"
    events = [event for piece in pieces for event in reply.text(piece)]
    events += reply.end()
    whole = PartialResponse()
    for event in events:
        whole.add(event)
    return events[:-1], whole.response("error")


def joined(events: list[StreamEvent], kind: type[TextDelta] | type[ThinkingDelta]) -> str:
    return "".join(event.text for event in events if isinstance(event, kind))


WORDS = st.lists(st.sampled_from(["<think>", "</think>", "<thi", "</", "nk>", " ", "\n", "a", "<", "é", "👍"]))


@given(words=WORDS, cuts=st.lists(st.integers(0, 60)))
def test_cuts_change_nothing(words: list[str], cuts: list[int]) -> None:
    text = "".join(words)
    borders = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[a:b] for a, b in pairwise(borders)]
    events, response = put(pieces)
    _, whole = put([text])
    assert (response.text, response.thinking) == (whole.text, whole.thinking)
    assert joined(events, TextDelta) == response.text
    assert joined(events, ThinkingDelta) == (response.thinking or "")


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_text_that_does_not_begin_with_think_is_untouched(text: str) -> None:
    if not text.lstrip().startswith("<think>"):
        assert put(text)[1].text == text


@pytest.mark.parametrize(
    ("text", "thinking", "answer"),
    [
        ("<think>a</think>\n\nb", "a", "\n\nb"),
        ("\n <think>a</think>b", "a", "b"),
        ("<think>never closed", "never closed", "never closed"),
        ("<think></think>b", None, "b"),
        ("b <think>a</think>", None, "b <think>a</think>"),
        ("<think", None, "<think"),
        ("", None, ""),
    ],
)
def test_a_leading_think_block_is_split_off(text: str, thinking: str | None, answer: str) -> None:
    response = put(text)[1]
    assert (response.thinking, response.text) == (thinking, answer)


def test_what_is_held_back_is_passed_on_before_an_error() -> None:
    reply = Reply("x:y")
    assert list(reply.text("<thi")) == []
    assert list(reply.flush())[-1] == TextDelta("<thi")


def test_a_blank_line_parts_texts_with_something_else_between() -> None:
    reply = Reply("x:y")
    reply.part()
    events = [*reply.text("a"), *reply.text("b")]
    reply.part()
    events += reply.text("c")
    assert joined(events, TextDelta) == "ab\n\nc"


def test_how_it_ends() -> None:
    def reason(reply: Reply) -> str:
        end = list(reply.end())[-1]
        assert isinstance(end, StreamEnd)
        return end.finish_reason

    assert reason(Reply("x:y")) == "incomplete"
    marked = Reply("x:y")
    marked.ended = True
    assert reason(marked) == "stop"
    marked.refused = True
    assert reason(marked) == "content_filter"
    marked.call(0, "f")
    assert reason(marked) == "tool_call"
    called = Reply("x:y")
    called.ended = True
    called.call(0, "f")
    assert reason(called) == "tool_call"


def test_what_is_gathered_takes_the_memory_of_its_text() -> None:
    gathered = PartialResponse()
    tracemalloc.start()
    try:
        for number in range(50_000):
            gathered.add(TextDelta(f"{number:05}"))
        assert tracemalloc.get_traced_memory()[0] < 2 * 5 * 50_000
    finally:
        tracemalloc.stop()
