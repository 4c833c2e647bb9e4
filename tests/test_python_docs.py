"""Every example of docs/python.md runs and prints what it says, and is correct for mypy --strict."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from llmcli.providers.table import PROVIDERS
from tests.fake_provider import Answer, FakeProvider, chat_reply

DOCUMENT = Path(__file__).parent.parent / "docs" / "python.md"
EXAMPLES = re.findall(r"^## ([^\n]*)$|^```python\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
TITLED = [(EXAMPLES[at - 1][0], code) for at, (_, code) in enumerate(EXAMPLES) if code]
USAGE = {"prompt_tokens": 57, "completion_tokens": 8, "total_tokens": 65}
LONDON = '{"city": "London", "country": "United Kingdom"}'


@pytest.mark.parametrize(("title", "code"), TITLED, ids=[title for title, _ in TITLED])
def test_example_prints_what_it_says(
    title: str, code: str, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    monkeypatch.setenv("LLMCLI_OPENAI_BASE_URL", f"{provider.url}/v1")
    monkeypatch.setenv(PROVIDERS["ollama"].address_variable, f"{provider.url}/v1")
    answer = LONDON if "CityLocation" in code else "Paris"
    provider.answer(chat_reply(answer, usage=USAGE))
    if title.startswith("Fall back"):
        provider.answers.insert(0, Answer((b'{"error": {"message": "wrong key"}}',), 401, "application/json"))
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code.replace("http://localhost:11434", provider.url), title, "exec"), {"__name__": "__main__"})
    expected = re.findall(r"^# ?> (.*)$", code, re.MULTILINE)
    assert said.getvalue().splitlines() == expected


def test_examples_are_typed(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    files = []
    for at, (_, code) in enumerate(TITLED):
        files.append(tmp_path / f"example_{at}.py")
        files[-1].write_text(code)
    root = DOCUMENT.parent.parent
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "pyproject.toml", *map(str, files)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
