"""Settings: who wins, what a broken file says, and providers of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmcli.config.load import config_path, load_config
from llmcli.errors import SettingsError
from tests.command import llmcli
from tests.fake_provider import FakeProvider, chat_reply


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "home" / "config.toml"
    path.parent.mkdir()
    return path


def test_option_wins_over_environment_over_file_over_default(settings: Path) -> None:
    environ = {"LLMCLI_HOME": str(settings.parent)}
    settings.write_text("model = 'test:echo'\n[defaults]\nseed = 1\ntemperature = 0.5\ntop_p = 0.1\n")
    config = load_config({"seed": 3}, environ | {"LLMCLI_SEED": "2", "LLMCLI_TEMPERATURE": "0.25"})
    found = {name: (getattr(config.settings, name), source) for name, source in config.sources.items()}
    assert found["seed"] == (3, "option")
    assert found["temperature"] == (0.25, "LLMCLI_TEMPERATURE")
    assert found["top_p"] == (0.1, str(settings))
    assert found["model"] == ("test:echo", str(settings))
    assert found["timeout"] == (600.0, "default")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"model = 'x'\nmodle ==\n", "(at line 2, column 8)"),
        (b"modle = 'x'", "modle: unknown setting; did you mean model?"),
        (b"[defaults]\nseed = 'many'", "defaults.seed: not a whole number"),
        (b"[defaults]\nformat = 'xml'", "defaults.format"),
        (b"[providers.mine]\nprotocol = 'openai'", "providers.mine: a provider of one's own needs a base_url"),
        (
            b"[providers.mine]\nbase_url = 'nonsense'",
            "providers.mine.base_url in the settings file: not an http address",
        ),
        (b"[providers.mine]\nbase_url = 'http://x'\nheaders = {a = \"b\\n\"}", "providers.mine.headers"),
        (b"model = '\xff'", "not UTF-8 text: byte 9"),
    ],
)
def test_a_broken_file_says_where(settings: Path, content: bytes, said: str) -> None:
    settings.write_bytes(content)
    result = llmcli("hi", "-m", "mine:x")
    assert result.code == 3
    assert said in result.stderr


def test_a_file_that_cannot_be_read(settings: Path) -> None:
    settings.mkdir()
    result = llmcli("hi", "-m", "test")
    assert result.code == 3
    assert f"cannot read {settings}" in result.stderr


def test_a_broken_variable_is_named() -> None:
    with pytest.raises(SettingsError, match="LLMCLI_SEED: not a whole number"):
        load_config({}, {"LLMCLI_SEED": "x", "LLMCLI_HOME": "/nowhere"})


def test_a_provider_of_ones_own(settings: Path, provider: FakeProvider) -> None:
    settings.write_text(
        f"""
        model = "fast"
        [aliases]
        fast = "mine:some/model:1"
        [providers.mine]
        base_url = "{provider.url}/llm/v1"
        key_env = "MINE_KEY"
        headers = {{ X-Team = "blue" }}
        max_tokens_field = "max_completion_tokens"
        [defaults]
        max_tokens = 12
        """
    )
    provider.answer(chat_reply("ok"))
    assert llmcli("hi").code == 3
    result = llmcli("hi", "--json", env={"MINE_KEY": "sk-mine", "OPENAI_API_KEY": "sk-openai", "OPENAI_ORG_ID": "org"})
    assert result.code == 0
    assert result.json["served_by"] == "mine:some/model:1"
    request = provider.requests[-1]
    assert request.path == "/llm/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer sk-mine"
    assert request.headers["x-team"] == "blue"
    assert "openai-organization" not in request.headers
    assert request.body["model"] == "some/model:1"
    assert request.body["max_completion_tokens"] == 12


def test_key_command_runs_and_its_failure_is_reported(settings: Path, provider: FakeProvider) -> None:
    settings.write_text("[providers.groq]\nkey_command = 'printf sk-from-command'\n")
    provider.answer(chat_reply("ok"))
    env = {"LLMCLI_GROQ_BASE_URL": provider.url}
    assert llmcli("hi", "-m", "groq", env=env).code == 0
    assert provider.requests[-1].headers["authorization"] == "Bearer sk-from-command"
    settings.write_text("[providers.groq]\nkey_command = 'sh -c \"echo locked >&2; exit 3\"'\n")
    result = llmcli("hi", "-m", "groq", env=env)
    assert result.code == 3
    assert "key_command failed: locked" in result.stderr


def test_config_show_and_path(settings: Path) -> None:
    settings.write_text("[aliases]\nfast = 'test:echo'\n[defaults]\nseed = 4\n")
    assert llmcli("config", "path").stdout.decode().strip() == str(settings)
    shown = llmcli("config", "show", env={"LLMCLI_EFFORT": "low"}).stdout.decode()
    assert [line.split() for line in shown.splitlines() if line.startswith(("seed", "effort", "aliases"))] == [
        ["effort", '"low"', "LLMCLI_EFFORT"],
        ["seed", "4", str(settings)],
        ["aliases.fast", '"test:echo"', str(settings)],
    ]
    as_json = json.loads(llmcli("config", "show", "--json").stdout)
    assert as_json["settings"]["seed"] == {"value": 4, "source": str(settings)}


def test_home_moves_the_file_and_its_absence_is_no_error(tmp_path: Path) -> None:
    assert config_path({"LLMCLI_HOME": str(tmp_path)}) == tmp_path / "config.toml"
    assert config_path({}).name == "config.toml"
    assert load_config({}, {"LLMCLI_HOME": str(tmp_path)}).settings.format == "auto"


def test_providers_lists_address_and_keys() -> None:
    env = {"GROQ_API_KEY": "sk-secret-key", "LLMCLI_XAI_BASE_URL": "http://user:password@127.0.0.1:1/v1"}
    rows = {row["prefix"]: row for row in json.loads(llmcli("providers", "--json", env=env).stdout)}
    assert rows["groq"]["key_set"] is True
    assert rows["openai"]["key_set"] is False
    assert rows["anthropic"]["key_variables"] == ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"]
    assert rows["xai"]["address"] == "http://127.0.0.1:1/v1"
    table = llmcli("providers", env=env).stdout.decode()
    assert "https://api.groq.com/openai/v1" in table
    assert "sk-secret" not in table
    assert "password" not in table


def test_show_keeps_what_is_secret_to_itself(tmp_path: Path) -> None:
    own = 'base_url = "http://u:s3cret/x@127.0.0.1:1"\nproxy = "bob:s3cret@h:9"\nkey_command = "pass show s3cret"\n'
    (tmp_path / "config.toml").write_text(f"[providers.groq]\n{own}headers = {{ X-Key = 's3cret' }}\n")
    env = {"LLMCLI_HOME": str(tmp_path), "LLMCLI_PROXY": "bob:s3cret@h:9"}
    for args in ([], ["--json"]):
        shown = llmcli("config", "show", *args, env=env)
        assert (shown.code, shown.stderr) == (0, "")
        assert b"h:9" in shown.stdout
        assert b"pass ***" in shown.stdout
        assert b"127.0.0.1:1" in shown.stdout
        assert b"s3cret" not in shown.stdout
    asked = llmcli("hi", "-m", "groq:x", env=env)
    assert asked.code == 3
    assert "s3cret" not in asked.stderr


def test_a_script_gets_its_json_though_the_settings_are_broken(tmp_path: Path) -> None:
    broken = llmcli("hi", env={"LLMCLI_FORMAT": "json", "LLMCLI_SEED": "many"})
    assert (broken.code, broken.json["error"]["kind"]) == (3, "settings")
    (tmp_path / "config.toml").write_text("[")
    broken = llmcli("hi", env={"LLMCLI_FORMAT": "ndjson", "LLMCLI_HOME": str(tmp_path)})
    assert json.loads(broken.stdout.splitlines()[-1])["type"] == "end"
