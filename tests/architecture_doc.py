"""The generated parts of docs/architecture.md: `python -m tests.architecture_doc` writes them anew."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import llmcli

DOC = Path(__file__).parents[1] / "docs" / "architecture.md"
ROOT = Path(llmcli.__file__).parent


def tree() -> str:
    """Every module with the first line of its docstring, folder by folder."""
    lines = []
    for path in sorted(ROOT.rglob("*.py"), key=lambda path: (path.parent != ROOT, path.parent, path.name)):
        name = path.relative_to(ROOT.parent).as_posix()
        first = (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()[0]
        if path.name == "__init__.py":
            lines.append(
                f"\n### `{path.parent.relative_to(ROOT.parent).as_posix()}/`\n\n{first}\n\n| file | is for |\n|---|---|"
            )
        else:
            escaped = first.replace("|", "\\|")
            lines.append(f"| `{name.rpartition('/')[2]}` | {escaped} |")
    return "\n".join(lines).strip()


def floors() -> str:
    """The floors of the imports, from the top down."""
    from tests.test_architecture import FLOORS

    rows = (", ".join(f"`{name}`" for name in names) for names in FLOORS)
    return "\n".join(f"{number}. {row}" for number, row in enumerate(rows, 1))


def regenerated(text: str) -> str:
    """The document with its made parts made anew."""
    for name, made in (("tree", tree()), ("floors", floors())):
        parts = re.split(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", text, flags=re.DOTALL)
        text = f"{parts[0]}{parts[1]}{made}\n{parts[2]}{parts[3]}"
    return text


if __name__ == "__main__":
    DOC.write_text(regenerated(DOC.read_text()))
