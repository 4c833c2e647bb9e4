"""Keys: the private file of them, who goes before whom, and a canary that must not be seen anywhere."""

from __future__ import annotations

import base64
import json
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from llmcli.providers.table import PROVIDERS
from tests.command import COMMAND, Result, llmcli
from tests.fake_provider import FakeProvider, chat_reply
from tests.readable import is_readable

CANARY = "sk-canary-0123456789abcdef"
ENCODED = base64.b64encode(f"robot:{CANARY}".encode()).decode()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "new" / "home"
    monkeypatch.setenv("LLMCLI_HOME", str(folder))
    return folder


def keep(provider: str, key: str = CANARY, **env: str) -> Result:
    result = llmcli("keys", "set", provider, stdin=f"{key}\n".encode(), env=env)
    assert result.code == 0, result.stderr
    return result


def sent_key(provider: FakeProvider, *args: str, **env: str) -> str:
    provider.answers = []
    provider.answer(chat_reply("ok"))
    env = {"LLMCLI_GROQ_BASE_URL": provider.url, **env}
    result = llmcli("-m", "groq:x", *args, "hi", env=env)
    assert result.code == 0, result.stderr
    return provider.requests[-1].headers["authorization"].removeprefix("Bearer ")


# ---- the file


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_the_file_is_private_whatever_the_umask(umask: int, home: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "keys", "set", "groq"], input=CANARY.encode(), capture_output=True, umask=umask, check=False
    )
    if umask == 0o777 and os.geteuid():
        assert b"cannot write" in done.stderr  # the folder that was made cannot be entered
        return
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE((home / "keys.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert json.loads((home / "keys.json").read_text()) == {"groq": CANARY}
    assert [path.name for path in home.iterdir()] == ["keys.json"]


def test_set_list_and_rm(home: Path) -> None:
    assert f"the key of google-gla is kept in {home}/keys.json" in keep("gemini").stderr
    keep("groq", "another-key-0123")
    assert "note: GROQ_API_KEY goes before it" in keep("groq", GROQ_API_KEY="x" * 20).stderr
    listed = llmcli("keys", "list", "--json", env={"GROQ_API_KEY": "x" * 20}).json
    assert listed == [
        {"provider": "google-gla", "source": f"{home}/keys.json", "instead_of": []},
        {"provider": "groq", "source": "GROQ_API_KEY", "instead_of": [f"{home}/keys.json"]},
    ]
    assert llmcli("keys", "rm", "google").code == 0
    again = llmcli("keys", "rm", "google")
    assert (again.code, "holds no key of google-gla" in again.stderr) == (2, True)
    assert json.loads((home / "keys.json").read_text()) == {"groq": CANARY}
    for args in (["keys", "list"], ["providers"], ["providers", "--json"], ["config", "show", "--json"]):
        shown = llmcli(*args)
        assert CANARY not in shown.stdout.decode() + shown.stderr
    rows = {row["prefix"]: row["key_set"] for row in llmcli("providers", "--json").json}
    assert (rows["groq"], rows["google-gla"]) == (True, False)


@pytest.mark.parametrize(
    ("args", "stdin", "code", "said"),
    [
        (["set", "groc"], CANARY, 2, "did you mean groq?"),
        (["rm", "groc"], "", 2, "did you mean groq?"),
        (["set", "groq"], "", 2, "no key for groq was given"),
        (["set", "groq"], " \n", 2, "no key for groq was given"),
        (["set", "groq"], "two words", 2, "cannot be an API key"),
        (["set", "vertex"], CANARY, 2, "takes no key"),
        (["set", "test"], CANARY, 2, "takes no key"),
        (["set", "groq", CANARY], "", 2, "never an argument"),
        (["set", "groq", f"--{CANARY}"], "", 2, "never an argument"),
    ],
)
@pytest.mark.usefixtures("home")
def test_what_is_refused(args: list[str], stdin: str, code: int, said: str) -> None:
    result = llmcli("keys", *args, stdin=stdin.encode())
    assert result.code == code
    assert said in result.stderr
    assert CANARY not in result.stdout.decode() + result.stderr


def test_a_file_that_others_can_read_is_refused(home: Path) -> None:
    keep("groq")
    (home / "keys.json").chmod(0o640)
    result = llmcli("-m", "groq:x", "hi")
    assert (result.code, f"chmod 600 {home}/keys.json" in result.stderr) == (3, True)


@pytest.mark.parametrize("content", ["", "[]", '{"groq": 1}', "\udcff", "[" * 100_000])
def test_what_is_no_file_of_keys(content: str, home: Path) -> None:
    home.mkdir(parents=True)
    (home / "keys.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    (home / "keys.json").chmod(0o600)
    for args in (["-m", "groq:x", "hi"], ["hi"], ["keys", "list"], ["keys", "rm", "groq"]):
        result = llmcli(*args)
        assert (result.code, "is no file of keys" in result.stderr) == (3, True)


def test_a_link_to_the_file_stays_one(home: Path, tmp_path: Path) -> None:
    home.mkdir(parents=True)
    (home / "keys.json").symlink_to(tmp_path / "elsewhere.json")
    keep("groq")
    assert (home / "keys.json").is_symlink()
    assert CANARY in (tmp_path / "elsewhere.json").read_text()


def typed(text: bytes, *args: str) -> tuple[int, bytes]:
    """The exit code and the screen of a run on a terminal, where `text` is typed once it asks."""
    process, screen = pty.fork()
    if process == 0:
        os.execv(sys.executable, [*COMMAND, *args])
    shown = b""
    asked = False
    while is_readable(screen, 60):
        try:
            piece = os.read(screen, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
        if not asked and b"unseen): " in shown:
            os.write(screen, text)
            asked = True
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.close(screen)
    return code, shown


@pytest.mark.parametrize(("text", "code"), [(f"{CANARY}\r".encode(), 0), (b"\r", 2), (b"\x04", 2), (b"\x03", 130)])
@pytest.mark.filterwarnings("ignore:.*use of forkpty:DeprecationWarning")
def test_a_terminal_asks_without_echo(text: bytes, code: int, home: Path) -> None:
    found, screen = typed(text, "keys", "set", "groq")
    assert found == code, screen
    assert CANARY.encode() not in screen
    assert b"Traceback" not in screen
    assert (home / "keys.json").exists() == (code == 0)


# ---- who goes before whom


def test_the_order_of_places(provider: FakeProvider, home: Path, tmp_path: Path) -> None:
    keep("groq", "key-of-the-file")
    assert sent_key(provider) == "key-of-the-file"
    (home / "config.toml").write_text("[providers.groq]\nkey_command = 'echo key-of-the-command'\n")
    assert sent_key(provider) == "key-of-the-command"
    variable = {"GROQ_API_KEY": "key-of-the-variable"}
    assert sent_key(provider, **variable) == "key-of-the-variable"
    (tmp_path / "key").write_text("key-of-the-option")
    assert sent_key(provider, "--api-key-file", str(tmp_path / "key"), **variable) == "key-of-the-option"
    listed = llmcli("keys", "list", "--json", env=variable).json[0]
    assert listed["source"] == "GROQ_API_KEY"
    assert listed["instead_of"] == ["providers.groq.key_command", f"{home}/keys.json"]


def test_a_kept_key_makes_its_provider_the_default(provider: FakeProvider, home: Path) -> None:
    keep("groq")
    provider.answer(chat_reply("ok"))
    result = llmcli("hi", "--json", env={"LLMCLI_GROQ_BASE_URL": provider.url})
    assert result.json["served_by"] == "groq:openai/gpt-oss-20b"


def test_a_provider_of_ones_own_may_have_a_kept_key(provider: FakeProvider, home: Path) -> None:
    home.mkdir(parents=True)
    (home / "config.toml").write_text(f'[providers.mine]\nbase_url = "{provider.url}"\n')
    keep("mine")
    provider.answer(chat_reply("ok"))
    assert llmcli("-m", "mine:x", "hi").code == 0
    assert provider.requests[0].headers["authorization"] == f"Bearer {CANARY}"


# ---- the canary

FORMS = {
    "debug": ["--debug", "-v"],
    "json": ["--json", "--debug"],
    "ndjson": ["--format", "ndjson"],
    "dry": ["--dry-run", "--json"],
    "retried": ["--format", "ndjson", "--retries", "1"],
}


@pytest.mark.parametrize(
    ("source", "name", "form", "status"),
    [
        ("variable", "groq", "debug", 401),
        ("option", "groq", "json", 401),
        ("stdin", "groq", "debug", 500),
        ("command", "groq", "debug", 400),
        ("file", "groq", "json", 400),
        ("file", "groq", "debug", 401),
        ("file", "groq", "ndjson", 500),
        ("file", "groq", "retried", 500),
        ("file", "groq", "dry", 0),
        ("file", "anthropic", "debug", 401),
        ("file", "anthropic", "dry", 0),
        ("file", "google-gla", "debug", 401),
        ("file", "cohere", "json", 500),
    ],
)
def test_a_key_is_never_shown(
    source: str, name: str, form: str, status: int, provider: FakeProvider, home: Path, tmp_path: Path
) -> None:
    row = PROVIDERS[name]
    args, stdin, env = list(FORMS[form]), b"", {row.address_variable: provider.url}
    settings = f"[providers.{name}]\nheaders = {{ X-Gate = 'Basic {ENCODED}' }}\n"
    if source == "variable":
        env[row.key_env[0]] = CANARY
    elif source == "file":
        keep(name)
    elif source == "command":
        settings += f"key_command = 'echo {CANARY}'\n"
    else:
        (tmp_path / "key").write_text(CANARY)
        args += ["--api-key-file", "-" if source == "stdin" else str(tmp_path / "key")]
        stdin = CANARY.encode() if source == "stdin" else b""
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.toml").write_text(settings)
    echo = {"error": {"message": f"no: Bearer {CANARY}, x-api-key={CANARY}, {ENCODED}", "type": CANARY}}
    headers = {"retry-after": "0", "x-request-id": CANARY, "www-authenticate": f"Basic {ENCODED}"}
    provider.answer_json(echo, status=status, headers=headers)
    command = [*COMMAND, "-m", f"{name}:x", *args, "hi"]
    done = subprocess.run(command, input=stdin, capture_output=True, env={**os.environ, **env}, check=False)
    shown = (done.stdout + done.stderr).decode()
    assert done.returncode == {0: 0, 401: 3, 400: 4, 500: 5}[status], shown
    assert CANARY not in shown, shown
    assert ENCODED not in shown, shown


@pytest.mark.usefixtures("home")
def test_a_key_is_not_shown_by_the_list_of_models(provider: FakeProvider) -> None:
    provider.answer_json({"error": {"message": f"no: {CANARY}"}}, status=401)
    result = llmcli("models", "groq", "--live", env={"LLMCLI_GROQ_BASE_URL": provider.url, "GROQ_API_KEY": CANARY})
    assert (result.code, CANARY in result.stderr) == (3, False)


def test_the_child_of_key_command_inherits_and_gets_nothing_more(
    provider: FakeProvider, home: Path, tmp_path: Path
) -> None:
    home.mkdir(parents=True)
    script = tmp_path / "script.py"
    script.write_text(
        f"import json, os, sys\njson.dump([dict(os.environ), sys.argv], open('{tmp_path}/seen', 'w'))\n"
        f"print('{CANARY}')\n"
    )
    (home / "config.toml").write_text(f"[providers.groq]\nkey_command = '{sys.executable} {script}'\n")
    keep("openai", "key-of-another-one")
    assert sent_key(provider) == CANARY
    environment, argv = json.loads((tmp_path / "seen").read_text())
    assert environment.keys() - os.environ.keys() <= {"LLMCLI_GROQ_BASE_URL", "LC_CTYPE"}
    assert not any("key-of-another-one" in value for value in [*environment.values(), *argv])


@pytest.mark.usefixtures("home")
def test_a_password_in_an_address_is_not_echoed(provider: FakeProvider) -> None:
    provider.answer_json({"error": {"message": f"who is {ENCODED}, {CANARY}?"}}, status=401)
    address = provider.url.replace("//", f"//robot:{CANARY}@")
    result = llmcli("-m", "cohere:x", "--json", "hi", env={"LLMCLI_COHERE_BASE_URL": address, "CO_API_KEY": "k" * 20})
    assert result.code == 3
    assert CANARY not in result.stdout.decode() + result.stderr
    assert ENCODED not in result.stdout.decode() + result.stderr


def test_those_who_come_at_once_wait_for_each_other(home: Path) -> None:
    names = [row.name for row in PROVIDERS.values() if row.key_env][:8]
    runs = [subprocess.Popen([*COMMAND, "keys", "set", name], stdin=subprocess.PIPE) for name in names]
    for run in runs:
        run.communicate(CANARY.encode())
    assert json.loads((home / "keys.json").read_text()) == dict.fromkeys(names, CANARY)
