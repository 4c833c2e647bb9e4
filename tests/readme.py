"""The parts of the README that are made from the product: `python -m tests.readme` writes them anew."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from llmcli.providers.table import PROVIDERS

README = Path(__file__).parents[1] / "README.md"


def providers() -> str:
    """The table of providers."""
    lines = ["| prefix | address | key | default model |", "|---|---|---|---|"]
    for row in PROVIDERS.values():
        names = ", ".join(f"`{name}`" for name in row.names)
        address = row.base_url or ("offline" if row.offline else f"`{row.address_variable}`")
        keys = " or ".join(f"`{name}`" for name in row.key_env) or "none"
        keys = row.other_login or (f"{keys} (optional)" if row.key_optional else keys)
        model = f"`{row.models[0]}`" if row.models else "name one"
        lines.append(f"| {names} | {address} | {keys} | {model} |")
    return "\n".join(lines)


def shown_help() -> str:
    """What `llmcli --help` prints."""
    done = subprocess.run(
        [sys.executable, "-m", "llmcli", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "100"},
    )
    return f"```text\n{done.stdout.strip()}\n```"


def regenerated(text: str) -> str:
    """The README with its made parts made anew."""
    for name, make in (("providers", providers), ("help", shown_help)):
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        text = re.sub(pattern, lambda match: f"{match[1]}{make()}\n{match[2]}", text, flags=re.DOTALL)  # noqa: B023
    return text


if __name__ == "__main__":
    README.write_text(regenerated(README.read_text()))
