"""The house keeps its shape: floors, late imports, and a first line for every module."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import llmcli as package
from llmcli.providers.table import PROVIDERS
from tests.fake_provider import FakeProvider
from tests.wire import SPOKEN, environment, wire

ROOT = Path(package.__file__).parent
MODULES = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}
# From the top down; a module may import only from floors below its own, or from its own family.
FLOORS = (
    ("llmcli.__main__",),
    ("llmcli.cli",),
    ("llmcli.repl", "llmcli.batch", "llmcli.agent"),
    ("llmcli.streamed", "llmcli.python_models", "llmcli.agent_settings"),
    ("llmcli.testing", "llmcli.background"),
    ("llmcli.turn", "llmcli.doctor"),
    ("llmcli.saving",),
    (
        *("llmcli.factory", "llmcli.toolbox", "llmcli.hints", "llmcli.local_setup", "llmcli.permission"),
        *("llmcli.context_files", "llmcli.window"),
    ),
    ("llmcli.confirm",),
    ("llmcli.console",),
    (
        *("llmcli.conversation", "llmcli.attachments", "llmcli.template", "llmcli.render"),
        *("llmcli.tools", "llmcli.store"),
    ),
    ("llmcli.budget", "llmcli.inputs", "llmcli.tool_loop"),
    ("llmcli.models.fallback", "llmcli.models.lazy", "llmcli.models.replay"),
    ("llmcli.models.retry",),
    ("llmcli.models.responses", "llmcli.models.vertex", "llmcli.models.local"),
    (
        *("llmcli.models.chat", "llmcli.models.anthropic", "llmcli.models.gemini", "llmcli.models.cohere"),
        *("llmcli.models.bedrock", "llmcli.models.test"),
    ),
    ("llmcli.models.reasoning_details", "llmcli.models.converse_blocks"),
    ("llmcli.models.http",),
    ("llmcli.models.local_process", "llmcli.models.local_engine", "llmcli.models.local_pull"),
    ("llmcli.models.local_files",),
    (
        *(
            "llmcli.models.event_builder",
            "llmcli.models.cache_key",
            "llmcli.models.gguf",
            "llmcli.models.claude",
            "llmcli.models.counts",
        ),
        *("llmcli.models.strict_schema", "llmcli.models.turns"),
    ),
    ("llmcli.models",),
    ("llmcli.result", "llmcli.verdict", "llmcli.config"),
    ("llmcli.calls",),
    ("llmcli.providers",),
    ("llmcli.history", "llmcli.partial_response"),
    ("llmcli.message_json",),
    ("llmcli.messages",),
    ("llmcli.parts",),
    ("llmcli.usage", "llmcli.schema", "llmcli.signals"),
    ("llmcli.bounded_file", "llmcli.text_tree"),
    ("llmcli.errors", "llmcli.secrets", "llmcli.paths", "llmcli.spelling", "llmcli.cancel"),
    ("llmcli",),
)
SDKS = {"openai", "anthropic", "boto3", "botocore", "httpx2"}


def family(module: str) -> str:
    """The longest name of FLOORS that the module belongs to."""
    names = [name for floor in FLOORS for name in floor]
    return max((name for name in names if module == name or module.startswith(f"{name}.")), key=len)


def floor(module: str) -> int:
    return next(number for number, names in enumerate(FLOORS) if family(module) in names)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module for name in full)


@pytest.mark.parametrize("module", [name for name in MODULES if name != "llmcli"])  # it names all, for type checkers
def test_imports_go_down_only(module: str) -> None:
    for name in imports(MODULES[module]):
        if name.split(".")[0] == "llmcli" and family(name) != family(module):
            assert floor(name) > floor(module), f"{module} imports {name}"


@pytest.mark.parametrize("module", MODULES)
def test_only_models_name_an_sdk(module: str) -> None:
    named = {name.split(".")[0] for name in imports(MODULES[module])}
    assert not named & SDKS or module.startswith("llmcli.models.") or module == "llmcli.tools.mcp_http"


@pytest.mark.parametrize("module", MODULES)
def test_only_the_upper_floors_write_to_the_screen(module: str) -> None:
    text = MODULES[module].read_text()
    writes = "sys.stdout" in text or "sys.stderr" in text or "print(" in text
    assert not writes or family(module) in ("llmcli.__main__", "llmcli.cli", "llmcli.render")


@pytest.mark.parametrize("module", MODULES)
def test_the_first_line_says_what_it_is_for(module: str) -> None:
    lines = MODULES[module].read_text().splitlines()
    assert lines[0].startswith('"""')
    assert len(lines) <= 400 or module == "llmcli.config.settings"  # a table: one declaration for each option


def modules(*args: str) -> set[str]:
    """The modules that a run of the command has imported."""
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: sys.stderr.write('\\nMODULES ' + ' '.join(sys.modules)))\n"
        "from llmcli.__main__ import main\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *args], stdin=subprocess.DEVNULL, capture_output=True, env=os.environ, text=True
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.rpartition("MODULES ")[2].split())


def loaded(*args: str) -> set[str]:
    """Their top-level packages."""
    return {name.split(".")[0] for name in modules(*args)}


HEAVY = {"openai", "anthropic", "boto3", "httpx2", "prompt_toolkit", "pydantic", "rich", "platformdirs", "sqlite3"}


def test_help_and_version_import_nothing_heavy() -> None:
    assert not loaded("--version") & HEAVY
    assert not loaded("--help") & HEAVY
    assert not loaded("ask", "--help") & (HEAVY - {"pydantic"})  # which typer needs to run a command


def test_version_imports_not_even_typer() -> None:
    assert "typer" not in loaded("--version")


SDK_OF = {"openai": None, "anthropic": None, "google-gla": None, "cohere": None, "bedrock": "botocore"}


@pytest.mark.parametrize("name", SDK_OF)
def test_a_provider_loads_only_its_own_sdk(name: str, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    row = PROVIDERS[name]
    for variable, value in {row.address_variable: provider.url, row.key_env[0]: "sk-test-0123456789"}.items():
        monkeypatch.setenv(variable, value)
    whole = Path(__file__).parent / "wire" / row.protocol / "whole.json"
    provider.answer(whole.read_bytes(), content_type="application/json")
    packages = loaded("-m", f"{name}:m", "hi")
    assert packages & {"openai", "anthropic", "boto3", "botocore"} == {SDK_OF[name]} - {None}
    assert not packages & {"prompt_toolkit", "google.auth", "rich"}


# Modules after one streamed reply: the order of magnitude counts.
BUDGETS = {"openai": 430, "openai-responses": 430, "anthropic": 430, "gemini": 430, "cohere": 430, "bedrock": 600}


@pytest.mark.parametrize("protocol", SPOKEN)
def test_a_reply_takes_no_more_modules_than_it_needs(
    protocol: str, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in environment(SPOKEN[protocol], provider.url).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.delenv("LLMCLI_RETRIES")  # a setting there is to check takes pydantic
    provider.answers = [wire(protocol, "stop")]
    names = modules("-m", f"{SPOKEN[protocol]}:m", "hi")
    assert len(names) <= BUDGETS[protocol]
    assert not any(name.split(".")[0] in ("openai", "anthropic", "pydantic", "boto3") for name in names)


def test_the_test_model_and_the_listings_load_no_http_at_all() -> None:
    for args in (["-m", "test", "hi"], ["providers"], ["config", "show"]):
        assert not loaded(*args) & {"openai", "anthropic", "boto3", "botocore", "httpx2", "prompt_toolkit"}


def test_public_names_resolve() -> None:
    assert all(getattr(package, name) for name in package.__all__)
