"""The actions of the log command: functions that take a console, imported when a command runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from llmcli.config.load import load_config
from llmcli.console import Console
from llmcli.errors import ReplyMismatch, UserError
from llmcli.factory import price_of
from llmcli.inputs import read_text
from llmcli.render.columns import table
from llmcli.render.log_rows import search_lines, when
from llmcli.render.pager import clean, page
from llmcli.store.database import reading, writing
from llmcli.store.delete import delete, moment_before, older_than, seconds_in
from llmcli.store.exchange import FORMAT_VERSION, exported, imported, read_export
from llmcli.store.find import Listed, find, listed, rename
from llmcli.store.log import mend
from llmcli.store.prices import estimate_costs
from llmcli.store.search import search

if TYPE_CHECKING:
    import sqlite3

__all__ = [
    "export_conversations",
    "import_conversations",
    "list_conversations",
    "prune_conversations",
    "remove_conversations",
    "rename_conversation",
    "search_conversations",
    "show_conversation",
]

_LIST_FIELDS = (*("id", "name", "title", "model", "created", "updated", "turns", "total_tokens", "cost_usd", "folder"),)


def _settle() -> None:
    """Close the turns of killed processes, and estimate the costs that wait for it. Raises StoreError."""
    with reading() as database:
        waits = (
            database
            and database.execute(
                "SELECT (SELECT count(*) FROM turns WHERE state = 'running'),"
                " (SELECT count(*) FROM turns WHERE cost_source = 'later')"
            ).fetchone()
        )
    if waits and any(waits):
        price = price_of(load_config({})) if waits[1] else None
        with writing() as database:
            mend(database)
            if price:
                estimate_costs(database, price)


def _found(database: sqlite3.Connection | None, word: str) -> Listed:
    found = find(database, word) if database else None
    if not found:
        raise UserError(f"there is no saved conversation {word}", hint="llmcli log list shows them")
    return found


def list_conversations(console: Console, limit: int, as_json: bool) -> None:
    """Print the latest conversations."""
    _settle()
    with reading() as database:
        found = listed(database, limit) if database else []
    if as_json:
        rows = [{name: asdict(one)[name] for name in _LIST_FIELDS} for one in found]
        console.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
    elif not found:
        console.stderr.line("no conversation is saved yet")
    else:
        head = ("id", "name", "last turn", "turns", "model", "title")
        rows_of_text = [
            (one.id, clean(one.name or "-"), when(one.updated), str(one.turns), clean(one.model), clean(one.title))
            for one in found
        ]
        page(_fitted(table(head, rows_of_text), console), console.stdout)


def _fitted(text: str, console: Console) -> str:
    """Lines that fit the terminal; a pipe gets them whole."""
    if not console.stdout.is_terminal:
        return text
    from rich.cells import cell_len, set_cell_size

    columns = console.stdout.size()[0]
    lines = (
        line if cell_len(line) <= columns else f"{set_cell_size(line, columns - 1).rstrip()}…"
        for line in text.splitlines()
    )
    return "".join(f"{line}\n" for line in lines)


def show_conversation(console: Console, which: str, form: str, extract: bool) -> None:
    """Print one conversation."""
    if form not in ("markdown", "json", "text"):
        raise UserError(f"--format {form}: not one of markdown, json, text")
    _settle()
    with reading() as database:
        one = exported(database, _found(database, which).id) if database else None
    if one is None:
        raise UserError(f"there is no saved conversation {which}", hint="llmcli log list shows them")
    if extract:
        console.stdout.write(_code_block(one))
    elif form == "json":
        console.stdout.write(json.dumps(one, indent=2, ensure_ascii=False) + "\n")
    elif form == "text":
        page(_shown(as_text(one), console), console.stdout)
    elif console.stdout.is_terminal:
        page(_drawn(as_markdown(one), console), console.stdout)
    else:
        console.stdout.write(as_markdown(one))


def _shown(text: str, console: Console) -> str:
    from llmcli.render.streams import harmless

    return harmless(text) if console.stdout.is_terminal else text


def _drawn(text: str, console: Console) -> str:
    from llmcli.render.markdown.document import whole
    from llmcli.render.markdown.layout import Layout
    from llmcli.render.markdown.theme import find_look

    settings = load_config({}).settings
    look = find_look(settings.theme, settings.color, terminal=True)
    return "".join(f"{line}\n" for line in whole(text, Layout(look), console.stdout.size()[0]))


def _code_block(one: dict[str, Any]) -> str:
    from llmcli.verdict import closed_code_block

    replies = [message for message in one["messages"] if message.get("kind") == "response"]
    block = closed_code_block(_text(replies[-1])) if replies else None
    if block is None:
        raise ReplyMismatch("the last reply has no closed code block")
    return block if block.endswith("\n") else f"{block}\n"


def _text(message: dict[str, Any]) -> str:
    found = []
    for part in message.get("parts") or ():
        if part.get("part_kind") in ("text", "user-prompt", "system-prompt"):
            content = part.get("content")
            for item in content if isinstance(content, list) else [content]:
                found.append(item if isinstance(item, str) else f"[file: {_name(item)}]")
        elif part.get("part_kind") == "tool-call":
            found.append(f"[tool call: {part.get('tool_name')} {part.get('args')}]")
        elif part.get("part_kind") == "tool-return":
            found.append(f"[tool result: {part.get('tool_name')}]\n{part.get('content')}")
    return "\n\n".join(found)


def _name(item: object) -> str:
    return str(item.get("name") or item.get("url") or item.get("media_type")) if isinstance(item, dict) else "?"


def _failed(one: dict[str, Any]) -> dict[int, list[str]]:
    """The prompts without any reply, with their errors, by the number of messages before them."""
    found: dict[int, list[str]] = {}
    at = 0
    for turn in one["turns"]:
        if turn["state"] == "failed":
            why = (turn["error"] or {}).get("message", "no reply") if isinstance(turn["error"], dict) else "no reply"
            found.setdefault(at, []).append(f"{_text(turn.get('request') or {})}\n\n[no reply: {why}]")
        elif turn["first"] is not None:
            at = turn["first"] + 2
    return found


def as_markdown(one: dict[str, Any]) -> str:
    """A conversation as Markdown: a heading for each message."""
    lines = [f"# {_title(one)}", "", f"{one['id']} · {one['model']} · {when(one['created'])}", ""]
    failed = _failed(one)
    for at, message in enumerate(one["messages"]):
        for prompt in failed.pop(at, ()):
            lines += ["## Prompt", "", prompt, ""]
        model = message.get("served_by") or message.get("model_name")
        heading = "## Prompt" if message.get("kind") == "request" else f"## Reply{f' · {model}' if model else ''}"
        lines += [heading, "", _text(message), ""]
    for prompts in failed.values():
        for prompt in prompts:
            lines += ["## Prompt", "", prompt, ""]
    if one["branches"]:
        count = len(one["branches"])
        lines += [f"({count} other branch{'es' * (count > 1)}: llmcli log export {one['id']})", ""]
    return "\n".join(lines)


def _title(one: dict[str, Any]) -> str:
    return " ".join(str(one["name"] or one["title"] or one["id"]).split())


def as_text(one: dict[str, Any]) -> str:
    """A conversation as plain text: each message after a line with its role."""
    lines = []
    for message in one["messages"]:
        model = message.get("served_by") or message.get("model_name") or "reply"
        lines += [f"[{'prompt' if message.get('kind') == 'request' else model}]", _text(message), ""]
    return "\n".join(lines)


def search_conversations(console: Console, words: Sequence[str], limit: int, as_json: bool) -> None:
    """Print the messages that have all words."""
    with reading() as database:
        hits = search(database, words, limit) if database else []
    if as_json:
        console.stdout.write(json.dumps([asdict(hit) for hit in hits], indent=2, ensure_ascii=False) + "\n")
    elif hits:
        page(search_lines(hits, highlight=console.stdout.is_terminal), console.stdout)


def rename_conversation(console: Console, which: str, name: str) -> None:
    """Give a conversation a name."""
    with writing() as database:
        found = _found(database, which)
        name = rename(database, found.id, name)
    console.stderr.line(f"{found.id} is named {name}")


def remove_conversations(console: Console, which: Sequence[str], yes: bool) -> None:
    """Delete the conversations of these names."""
    with reading() as database:
        found = {one.id: one for one in (_found(database, word) for word in which)}
    _delete(console, [*found.values()], yes)


def prune_conversations(console: Console, age: str, yes: bool) -> None:
    """Delete the conversations that are older than an age."""
    moment = moment_before(seconds_in(age))
    with reading() as database:
        found = older_than(database, moment) if database else []
    if not found:
        console.stderr.line(f"no conversation is older than {age}")
        return
    _delete(console, found, yes)


def _delete(console: Console, found: Sequence[Listed], yes: bool) -> None:
    if not yes:
        what = (
            f"{len(found)} conversations" if len(found) > 1 else clean(found[0].name or found[0].title or found[0].id)
        )
        if not (console.stdin.is_terminal and console.stderr.is_terminal):
            raise UserError(f"deleting {what} needs --yes where there is no terminal to ask on")
        console.stderr.write(f"Delete {what}? [y/N] ")
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            console.stderr.line("nothing was deleted")
            return
    delete([one.id for one in found])
    console.stderr.line(f"deleted {len(found)} conversation{'s' * (len(found) > 1)}")


def export_conversations(console: Console, which: str | None, form: str) -> None:
    """Print one conversation or all of them."""
    if form not in ("json", "jsonl", "markdown", "html"):
        raise UserError(f"--format {form}: not one of json, jsonl, markdown, html")
    _settle()
    with reading() as database:
        chosen = [_found(database, which)] if which else listed(database) if database else []
        if form == "jsonl" and database:
            for one in chosen:
                console.stdout.write(json.dumps(exported(database, one.id), ensure_ascii=False) + "\n")
            return
        found = [exported(database, one.id) for one in chosen] if database else []
    if form == "json":
        whole = {"format_version": FORMAT_VERSION, "conversations": found}
        console.stdout.write(json.dumps(whole, indent=2, ensure_ascii=False) + "\n")
    elif form == "markdown":
        console.stdout.write("\n".join(map(as_markdown, found)))
    elif form == "html":
        from llmcli.render.html import page as html_page

        console.stdout.write(html_page(found))


def import_conversations(console: Console, path: str | None, source: str | None) -> None:
    """Add the conversations of a file, or of the database of `llm`."""
    if source not in (None, "llm"):
        raise UserError(f"--from {source}: llm is the only tool whose conversations can be read")
    if source == "llm":
        from pathlib import Path

        from llmcli.store.llm_import import default_path, read_llm

        conversations = read_llm(Path(path).expanduser() if path else default_path())
    elif path is None:
        raise UserError("name the file to import, or --from llm")
    else:
        conversations = read_export(read_text(path, "log import", console.stdin), path)
    with writing() as database:
        new = [one for one in conversations if imported(database, one)]
    there = len(conversations) - len(new)
    console.stderr.line(f"imported {len(new)} conversations" + (f", {there} were there already" if there else ""))
