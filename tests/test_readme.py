"""The README says what the product does."""

from __future__ import annotations

import re
import signal
import tomllib
from pathlib import Path

import pytest

from llmcli import errors
from llmcli.config.load import load_config
from llmcli.config.schema import ProviderSettings, Variables
from tests.architecture_doc import DOC
from tests.architecture_doc import regenerated as regenerated_map
from tests.command import llmcli
from tests.readme import README, regenerated

ROOT = README.parent
TEXT = README.read_text()


def test_the_made_parts_are_up_to_date() -> None:
    assert regenerated(TEXT) == TEXT, "run: python -m tests.readme"


def test_every_exit_code_is_told() -> None:
    section = TEXT.partition("<!-- exit codes -->")[2].partition("<!-- /exit codes -->")[0]
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)}
    classes = [
        item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, errors.LlmcliError)
    ]
    signals = {errors.Interrupted.by(errors.Stopped(signum)).exit_code for signum in (signal.SIGHUP, signal.SIGTERM)}
    assert told == {0, *(item.exit_code for item in classes), *signals}


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[<>=]", line)[0] for line in project["dependencies"]}
    section = TEXT.partition("## Dependencies")[2]
    assert names == set(re.findall(r"`([a-z0-9-]+)`", section))


def test_every_setting_is_told_and_the_example_is_valid(tmp_path: Path) -> None:
    example = TEXT.partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "config.toml").write_text(example)
    config = load_config({}, {"LLMCLI_HOME": str(tmp_path)})
    assert config.settings.usage is True
    assert config.providers["work"].headers == {"X-Team": "blue"}
    assert all(name in TEXT for name in (*Variables.model_fields, *ProviderSettings.model_fields))


@pytest.mark.parametrize("line", re.findall(r"^\$ llmcli (-m test.*)$", TEXT, re.MULTILINE))
def test_the_offline_examples_run(line: str) -> None:
    args = [word.strip('"') for word in line.partition(" |")[0].split()]
    assert llmcli(*args).code == 0


def test_every_json_field_is_told() -> None:
    section = TEXT.partition("`--json` (`--format json`)")[2].partition("`--format ndjson`")[0]
    assert all(f"`{name}`" in section for name in llmcli("hi", "-m", "test", "--json").json)


def test_map_of_the_code_is_up_to_date() -> None:
    assert DOC.read_text() == regenerated_map(DOC.read_text()), "run: python -m tests.architecture_doc"


@pytest.mark.parametrize("name", re.findall(r"`([a-z_/]+\.py)`", DOC.read_text().partition("## Floors")[0]))
def test_map_names_files_that_exist(name: str) -> None:
    folders = (ROOT / "llmcli", ROOT)
    assert any((folder / name).is_file() for folder in folders)
