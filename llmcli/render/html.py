"""Export saved conversations as one HTML page without scripts and without external requests, light and dark.

The text of prompts and replies is hostile: HTML in it is shown as text, a remote image becomes a link, and the policy
of the page forbids everything but its own style and images that it holds.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterator, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from llmcli.render.markdown.code import code_tokens

__all__ = ["page"]

Json = dict[str, Any]

_STYLE = """
:root { color-scheme: light dark; --text: #1b1b1b; --back: #fff; --soft: #f3f3f1; --line: #d8d8d4; --dim: #666; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e4e4e0; --back: #191919; --soft: #262624; --line: #3b3b38; --dim: #a0a09a; }
}
body { color: var(--text); background: var(--back); font: 16px/1.55 system-ui, sans-serif; margin: 0 auto;
  max-width: 48rem; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; } h2 { font-size: 1rem; color: var(--dim); margin: 2rem 0 .3rem; }
.meta, footer { color: var(--dim); font-size: .85rem; }
.prompt { background: var(--soft); border: 1px solid var(--line); border-radius: .5rem; padding: .1rem 1rem;
  white-space: pre-wrap; }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: .4rem; overflow-x: auto; padding: .7rem; }
code { font: .9em ui-monospace, monospace; } details { color: var(--dim); }
table { border-collapse: collapse; } td, th { border: 1px solid var(--line); padding: .2rem .5rem; }
blockquote { border-left: 3px solid var(--line); margin-left: 0; padding-left: 1rem; } img { max-width: 100%; }
"""
_SAFE_LINK = re.compile(r"(?:https?|mailto):", re.IGNORECASE)
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")


def page(conversations: Sequence[Json]) -> str:
    """The conversations of an export as one page."""
    style = _STYLE + _colours()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'"
    title = _title(conversations[0]) if len(conversations) == 1 else f"{len(conversations)} conversations"
    body = "\n".join(_conversation(one) for one in conversations)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{_escaped(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n{body}\n"
        "<footer>Exported by llmcli.</footer>\n</body>\n</html>\n"
    )


def _title(one: Json) -> str:
    return str(one.get("name") or one.get("title") or one.get("id"))


def _conversation(one: Json) -> str:
    meta = " · ".join(str(one[name]) for name in ("id", "model", "created") if one.get(name))
    messages = "\n".join(text for message in one["messages"] for text in _message(message))
    return f'<article>\n<h1>{_escaped(_title(one))}</h1>\n<p class="meta">{_escaped(meta)}</p>\n{messages}\n</article>'


def _message(message: Json) -> Iterator[str]:
    who = "Reply" if message.get("kind") == "response" else "Prompt"
    model = message.get("served_by") or message.get("model_name")
    yield f"<section><h2>{_escaped(f'{who} · {model}' if model else who)}</h2>"
    for part in message.get("parts") or ():
        yield from _part(part)
    yield "</section>"


def _part(part: Json) -> Iterator[str]:
    kind, content = part.get("part_kind"), part.get("content")
    if kind == "text":
        yield _markdown(str(content))
    elif kind == "user-prompt":
        for item in content if isinstance(content, list) else [content]:
            yield f'<div class="prompt">{_escaped(item)}</div>' if isinstance(item, str) else _file(item)
    elif kind == "system-prompt":
        yield f'<details><summary>System prompt</summary><div class="prompt">{_escaped(str(content))}</div></details>'
    elif kind == "thinking" and content:
        yield f"<details><summary>Reasoning</summary>{_markdown(str(content))}</details>"
    elif kind == "tool-call":
        name = _escaped(str(part.get("tool_name")))
        yield f"<p>Tool call: <code>{name}</code></p>{_code(str(part.get('args')), 'json')}"
    elif kind in ("tool-return", "retry-prompt"):
        name = _escaped(str(part.get("tool_name")))
        yield f"<details><summary>Result of {name}</summary>{_code(str(content), '')}</details>"


def _file(item: object) -> str:
    if not isinstance(item, dict):
        return ""
    media, data = str(item.get("media_type") or ""), item.get("data")
    name = str(item.get("name") or item.get("url") or media or "file")
    if media in _IMAGES and isinstance(data, str) and re.fullmatch(r"[A-Za-z0-9+/=_-]+", data):
        standard = data.translate({45: "+", 95: "/"})
        return f'<p><img src="data:{media};base64,{standard}" alt="{_escaped(name)}"></p>'
    return f"<p>File: {_link(str(item.get('url') or ''), name)}</p>"


def _escaped(text: str) -> str:
    """Text without markup, control characters and marks that change the direction of writing."""
    from unicodedata import category

    kept = "".join(char for char in text if char in "\n\t" or category(char) not in ("Cc", "Cf", "Cs"))
    return html.escape(kept)


def _link(address: str, text: str) -> str:
    if not _SAFE_LINK.match(address):
        return _escaped(text)
    return f'<a href="{_escaped(address)}" rel="noreferrer noopener">{_escaped(text)}</a>'


class _Renderer(RendererHTML):
    """Renders images as links, links to web and mail alone, and code with colours."""

    def image(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        token = tokens[idx]
        return _link(str(token.attrs.get("src", "")), token.content or str(token.attrs.get("src", "image")))

    def link_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        address = str(tokens[idx].attrs.get("href", ""))
        known = _SAFE_LINK.match(address)
        return f'<a href="{_escaped(address)}" rel="noreferrer noopener">' if known else "<a>"

    def text(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return _escaped(tokens[idx].content)

    def code_inline(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return f"<code>{_escaped(tokens[idx].content)}</code>"

    def fence(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return _code(tokens[idx].content, tokens[idx].info.strip().partition(" ")[0])

    def code_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return _code(tokens[idx].content, "")


def _markdown(text: str) -> str:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": 20}, renderer_cls=_Renderer).enable("table")
    rendered: str = parser.render(text)
    return rendered


def _code(text: str, language: str) -> str:
    from pygments.token import STANDARD_TYPES, string_to_tokentype

    spans = []
    for name, piece in code_tokens(text, language.lower()):
        known = STANDARD_TYPES.get(string_to_tokentype(name), "") if name else ""
        spans.append(f'<span class="{known}">{_escaped(piece)}</span>' if known else _escaped(piece))
    return f'<pre class="code"><code>{"".join(spans)}</code></pre>'


def _colours() -> str:
    from pygments.formatters import HtmlFormatter

    light = HtmlFormatter(style="default").get_style_defs(".code")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".code")
    keep = re.compile(r"^\.code \.\w+ \{[^}]*\}", re.MULTILINE)
    lights, darks = (re.sub(r"background-color: [^;}]+;?", "", "\n".join(keep.findall(one))) for one in (light, dark))
    return f"{lights}\n@media (prefers-color-scheme: dark) {{\n{darks}\n}}\n"
