"""The templates command: list and show prompt files, and allow those of a repository."""

import json
from typing import Annotated

import typer

from llmcli.cli.completion import complete_template
from llmcli.cli.typer_ext import QuickCommand, console_of, new_group
from llmcli.errors import LlmcliError
from llmcli.render.pager import page_table
from llmcli.template import find_template, parse_template, template_names, templates_folder

app = new_group("Prompt files: list, show, allow.", default="list")

_Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The prompt file, or its path.", autocompletion=complete_template)
]
_ORIGINS = {"own": "yours", "repository": "this folder", "shipped": "llmcli", "path": "path"}


@app.command("list", cls=QuickCommand)
def list_(ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Prompt files that -t finds by name."""
    rows = []
    for name, origin, path in template_names():
        found = find_template(name)
        allowed = not found.needs_permission
        rows.append({"name": name, "from": origin, "allowed": allowed, "path": str(path), "parameters": _params(name)})
    if as_json:
        console_of(ctx).stdout.write(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
        return
    lines = [
        (
            str(row["name"]),
            _ORIGINS[str(row["from"])] + ("" if row["allowed"] else " (not allowed)"),
            ", ".join(map(str, row["parameters"])) or "-",  # type: ignore[call-overload]  # a list of names
        )
        for row in rows
    ]
    page_table(("name", "from", "parameters"), lines, console_of(ctx).stdout, whole=(0,))


@app.command("show", cls=QuickCommand)
def show(ctx: typer.Context, name: _Name) -> None:
    """Print a prompt file."""
    console_of(ctx).stdout.write(find_template(name).content.decode("utf-8", "replace"))


@app.command("path", cls=QuickCommand)
def path(ctx: typer.Context, name: Annotated[str | None, typer.Argument(metavar="[NAME]")] = None) -> None:
    """Where a prompt file is; without a name, the folder for your own."""
    console_of(ctx).stdout.write(f"{find_template(name).path if name else templates_folder()}\n")


@app.command("allow", cls=QuickCommand)
def allow(ctx: typer.Context, name: _Name) -> None:
    """Allow a prompt file of this folder, as long as its content stays the same."""
    found = find_template(name)
    parse_template(found.content, name)
    console = console_of(ctx)
    if found.origin != "repository":
        console.stderr.line(f"note: {found.path} needs no permission")
        return
    found.allow()
    console.stderr.line(f"allowed: {found.path}, SHA-256 {found.digest}")


def _params(name: str) -> list[str]:
    try:
        template = parse_template(find_template(name).content, name)
    except LlmcliError:
        return []
    return list(dict.fromkeys([*template.places, *template.params]))
