"""What completion knows: models of the price list and of the last --live answer, bare names, aliases, settings."""

from __future__ import annotations

from pathlib import Path

from tests.command import llmcli
from tests.fake_provider import FakeProvider


def offered(line: str) -> list[str]:
    words = line.split(" ")
    env = {"_LLMCLI_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    return [one.partition("\t")[0] for one in llmcli(env=env).stdout.decode().splitlines()]


def test_models_of_the_price_list_are_offered_behind_a_colon() -> None:
    assert "anthropic:claude-opus-4-5" in offered("llmcli -m anthropic:claude-opus")
    assert "openai:whisper-1" not in offered("llmcli -m openai:wh")


def test_bare_names_are_offered() -> None:
    assert "claude-opus-4-5" in offered("llmcli -m claude-o")
    assert "gpt-6-luna" in offered("llmcli -m gpt-6")


def test_aliases_families_and_own_providers_are_offered(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config.toml").write_text(
        '[aliases]\nquick = "test:echo"\n[providers.work]\nbase_url = "http://127.0.0.1:9"\nmodels = ["big"]\n'
    )
    assert offered("llmcli -m qui") == ["quick"]
    assert offered("llmcli -m work:b") == ["work:big"]
    assert "sonnet" in offered("llmcli -m son")


def test_chain_completes_its_next_member() -> None:
    assert offered("llmcli -m test:echo,test:ech") == ["test:echo,test:echo"]


def test_live_answer_is_kept_for_completion(openai: FakeProvider) -> None:
    openai.answer_json({"data": [{"id": "brand-new-1"}, {"id": "brand-new-2"}]})
    assert llmcli("models", "openai", "--live").code == 0
    assert offered("llmcli -m openai:brand") == ["openai:brand-new-1", "openai:brand-new-2"]


def test_templates_and_settings_are_offered(tmp_path: Path) -> None:
    assert offered("llmcli -t sh") == ["shell"]
    assert offered("llmcli templates show co") == ["commit"]
    assert "max_cost" in offered("llmcli config set max_c")


def test_second_completion_does_not_load_the_price_list() -> None:
    line = "llmcli -m anthropic:claude-opus"
    offered(line)
    env = {"_LLMCLI_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": "2", "PYTHONPROFILEIMPORTTIME": "1"}
    result = llmcli(env=env)
    assert b"anthropic:claude-opus-4-5" in result.stdout
    assert "llmcli.providers.names_cache" in result.stderr
    assert not {"genai_prices", "pydantic", "httpx2", "rich"} & {
        one.rpartition("|")[2].strip() for one in result.stderr.splitlines()
    }
