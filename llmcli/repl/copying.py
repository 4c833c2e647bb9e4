"""The /copy command: copy a reply or a code block to the clipboard."""

from __future__ import annotations

from llmcli.errors import UserError
from llmcli.messages import ModelResponse
from llmcli.repl.clipboard import copy
from llmcli.repl.session import Session

__all__ = ["copy_command"]


def copy_command(session: Session, argument: str) -> None:
    """Copy the last reply; with `N` the N-th reply from the end; with `code [N]` a code block of the last reply.

    Without a number that is its last code block. Raises UserError where there is no such text.
    """
    replies = [one.text for one in reversed(session.conversation.messages) if isinstance(one, ModelResponse)]
    if not replies or not replies[0]:
        raise UserError("there is no reply to copy")
    words = argument.split()
    wants_code = words[:1] == ["code"]
    number = words[wants_code:]
    if len(number) > 1 or not all(one.isdecimal() and len(one) < 9 and int(one) for one in number):
        raise UserError(f"/copy does not take {argument}", hint="/copy, /copy 2, /copy code, /copy code 2")
    texts, what = (_code_blocks(replies[0]), "code block") if wants_code else (replies, "reply")
    if not texts:
        raise UserError("the last reply has no code block")
    place = int(number[0]) if number else len(texts) if wants_code else 1
    if place > len(texts):
        raise UserError(f"there is no {what} {place}", hint=f"/copy takes a number from 1 to {len(texts)} there")
    session.say(copy(texts[place - 1], session.to_terminal))


def _code_blocks(text: str) -> list[str]:
    from llmcli.render.markdown.parser import make_parser

    return [token.content for token in make_parser().parse(text) if token.type in ("fence", "code_block")]
