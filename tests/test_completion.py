"""Completion: the generated files, what the callback answers, and real shells with keys typed into them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
import typer.main

from llmcli.cli.app import COMMANDS, app
from llmcli.cli.completion import SCRIPTS, complete_model, script
from llmcli.providers.table import PROVIDERS
from tests.command import COMMAND, llmcli
from tests.readable import is_readable

COMPLETIONS = Path(__file__).parent.parent / "completions"
_PATIENCE_S = 60  # far more than anything takes: only a hang gets there


def _needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(shell), reason=f"{shell} is not installed")


needs_bash, needs_zsh, needs_fish = _needs("bash"), _needs("zsh"), _needs("fish")


def _model(wanted: Callable[[str], bool]) -> str:
    """A name that is complete once its last letter is missing, so that a TAB has one answer."""
    return next(name for name in complete_model("") if wanted(name) and complete_model(name[:-1]) == [name])


PLAIN = _model(lambda name: name.startswith("openai:"))
SLASH = _model(lambda name: "/" in name)
TILDE = _model(lambda name: ":~" in name)
COLONS = _model(lambda name: name.count(":") == 2)
PREFIX = _model(lambda name: name.endswith(":"))


# What is typed, and the line that stands there after the TAB; the directory holds notes.txt and `my file.txt`.
LINES = [
    *((f"llmcli -m {name[:-1]}", f"llmcli -m {name} ") for name in (PLAIN, SLASH, TILDE, COLONS)),
    (f"llmcli -m {PREFIX[:-1]}", f"llmcli -m {PREFIX}"),
    (f"llmcli ask -m {PLAIN[:-1]}", f"llmcli ask -m {PLAIN} "),
    (f"llmcli --model={COLONS[:-1]}", f"llmcli --model={COLONS} "),
    (f'llmcli -m "{PLAIN[:-1]}', f'llmcli -m "{PLAIN}" '),
    (f"llmcli \"don't\" 'a b' -m {PLAIN[:-1]}", f"llmcli \"don't\" 'a b' -m {PLAIN} "),
    (f"llmcli a\\ b -f notes.txt -m {PLAIN[:-1]}", f"llmcli a\\ b -f notes.txt -m {PLAIN} "),
    (f"LC_ALL=C llmcli -m {PLAIN[:-1]}", f"LC_ALL=C llmcli -m {PLAIN} "),
    (f"echo hello | llmcli   -m {COLONS[:-1]}", f"echo hello | llmcli   -m {COLONS} "),
    (f"~/link/llmcli -m {PLAIN[:-1]}", f"~/link/llmcli -m {PLAIN} "),
    ("llmcli --mo", "llmcli --model "),
    ("llmcli hello --mo", "llmcli hello --model "),
    ("llmcli pro", "llmcli providers "),
    ("llmcli config sh", "llmcli config show "),
    ("llmcli --format js", "llmcli --format json "),
    ("llmcli --format=js", "llmcli --format=json "),
    ("llmcli --effort xh", "llmcli --effort xhigh "),
    ("llmcli -f no", "llmcli -f notes.txt "),
    ("llmcli --file no", "llmcli --file notes.txt "),
    ("llmcli --file=no", "llmcli --file=notes.txt "),
    ("llmcli --api-key-file no", "llmcli --api-key-file notes.txt "),
    ("llmcli -f my\\ f", "llmcli -f my\\ file.txt "),
    ("llmcli hello > no", "llmcli hello > notes.txt "),
    ("llmcli hello >no", "llmcli hello >notes.txt "),
    ("llmcli hello no", "llmcli hello no"),
]


class Terminal:
    """An interactive shell at the other end of a pseudo-terminal."""

    def __init__(self, *argv: str, env: dict[str, str], cwd: Path) -> None:
        self._master, slave = os.openpty()
        termios.tcsetwinsize(self._master, (50, 250))
        # Only a process that opens the terminal by name, in a session of its own, gets it as its controlling one.
        opening = ["sh", "-c", 'exec <"$0" >"$0" 2>&1 "$@"', os.ttyname(slave), *argv]
        self._shell = subprocess.Popen(opening, env=env, cwd=cwd, start_new_session=True)
        self._unread = ""
        self._slave = slave  # closed at the end: before the shell has opened it, it must not be the last one

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._shell.kill()
        self._shell.wait()
        os.close(self._slave)
        os.close(self._master)

    def type(self, keys: str) -> None:
        """Type."""
        os.write(self._master, keys.encode())

    def until(self, pattern: str) -> str:
        """Read until `pattern` has come, and return its first group."""
        end = time.monotonic() + _PATIENCE_S
        while not (found := re.search(pattern, self._unread, re.DOTALL)):
            ready = is_readable(self._master, max(0, end - time.monotonic()))
            assert ready, f"{pattern} did not come: {self._unread!r}"
            self._unread += os.read(self._master, 65536).decode(errors="replace")
        self._unread = self._unread[found.end() :]
        return found[1]

    def after_tab(self, line: str) -> str:
        """What the line is after a TAB; Ctrl-X g, which every shell here knows, prints it and empties it."""
        self.type(f"{line}\t\x18g")
        return self.line()

    def line(self) -> str:
        """The next line that the shell says it has."""
        return self.until(r"LINE\[(.*?)\]\r?\n")


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """The environment of a shell that finds this llmcli, and nothing of the person who runs the tests."""
    binaries = Path(sys.executable).parent
    (tmp_path / "link").symlink_to(binaries)
    (tmp_path / "files").mkdir()
    for name in ("notes.txt", "my file.txt"):
        (tmp_path / "files" / name).touch()
    path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "HOME": str(tmp_path), "TERM": "dumb", "INPUTRC": os.devnull}


def _bash(env: dict[str, str], tmp_path: Path, load: str) -> Terminal:
    rc = tmp_path / "rc.bash"
    rc.write_text(
        "got() { printf 'LINE[%s]\\n' \"$READLINE_LINE\"; READLINE_LINE=; }\n"
        "bind -x '\"\\C-xg\": got'\n" + load + "\nPS1=; printf 'LINE[%s]\\n' ready\n"
    )
    return Terminal("bash", "--noprofile", "--rcfile", str(rc), "-i", env=env, cwd=tmp_path / "files")


def _zsh(env: dict[str, str], tmp_path: Path, before: str, after: str) -> Terminal:
    (tmp_path / ".zshrc").write_text(
        'got() { zle -I; print -r -- "LINE[$BUFFER]"; BUFFER=; }\n'
        "zle -N got; bindkey '^Xg' got\n"
        f"{before}\nautoload -Uz compinit; compinit -u -D\n{after}\n"
        "PS1=; unsetopt PROMPT_SP PROMPT_CR; print 'LINE[ready]'\n"
    )
    return Terminal("zsh", "-d", "-i", env={**env, "ZDOTDIR": str(tmp_path)}, cwd=tmp_path / "files")


@pytest.fixture
def bash(env: dict[str, str], tmp_path: Path) -> Iterator[Terminal]:
    """bash with the script sourced."""
    with _bash(env, tmp_path, f"source '{COMPLETIONS / 'llmcli.bash'}'") as terminal:
        assert terminal.line() == "ready"
        yield terminal


@pytest.fixture(params=["autoloaded", "sourced"])
def zsh(env: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    """zsh with the script where an installation puts it, or sourced."""
    functions = tmp_path / "site-functions"
    functions.mkdir()
    shutil.copy(COMPLETIONS / "llmcli.zsh", functions / "_llmcli")
    before, after = f"fpath+=('{functions}')", ""
    if request.param == "sourced":
        before, after = "", f"source '{COMPLETIONS / 'llmcli.zsh'}'"
    with _zsh(env, tmp_path, before, after) as terminal:
        assert terminal.line() == "ready"
        yield terminal


# The files.


def test_the_top_level_folder_holds_the_packaged_scripts() -> None:
    packaged = {name: (COMPLETIONS / name).read_text() for name in SCRIPTS.values()}
    assert packaged == {name: script(shell) for shell, name in SCRIPTS.items()}


@pytest.mark.parametrize("shell", SCRIPTS)
def test_completion_command_prints_the_script(shell: str) -> None:
    assert llmcli("completion", shell).stdout.decode() == script(shell)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_script_knows_the_options_that_take_a_file(shell: str) -> None:
    command: Any = typer.main.get_command(app)
    taking = [param for param in command.commands["ask"].params if param.metavar in ("PATH", "PATH_OR_URL", "FILE")]
    assert taking
    for param in taking:
        assert all(re.search(rf"(?<![\w-]){name}(?![\w-])", script(shell)) for name in param.opts)


# The callback.


def _callback(line: str, index: int, shell: str = "bash") -> list[str]:
    env = {"_LLMCLI_COMPLETE": f"complete_{shell}", "COMP_WORDS": line, "COMP_CWORD": str(index)}
    result = llmcli(env=env)
    assert (result.code, result.stderr) == (0, "")
    return [line for line in result.stdout.decode().splitlines() if line]  # none at all is an empty line


@pytest.mark.parametrize("shell", SCRIPTS)
def test_every_shell_gets_the_same_answer(shell: str) -> None:
    assert _callback("llmcli -m op", 2, shell) == complete_model("op")


@pytest.mark.parametrize(
    ("line", "index", "expected"),
    [
        ("llmcli ", 1, sorted(["ask", *COMMANDS])),
        ("llmcli --mo", 1, ["--model"]),
        ("llmcli -- ", 2, []),
        ("llmcli -m ", 2, sorted(complete_model(""))),
        ("llmcli ask -m op", 3, sorted(complete_model("op"))),
        ("llmcli --format ", 2, ["auto", "json", "markdown", "ndjson", "text"]),
        (
            "llmcli --format=",
            1,
            ["--format=auto", "--format=json", "--format=markdown", "--format=ndjson", "--format=text"],
        ),
        ("llmcli --effort x", 2, ["xhigh"]),
        ("llmcli config ", 2, ["edit", "path", "set", "show", "unset"]),
        ("llmcli config show --", 3, ["--help", "--json"]),
        ("llmcli asq ", 2, []),
        ('llmcli "open quote', 1, []),
    ],
)
def test_candidates(line: str, index: int, expected: list[str]) -> None:
    assert sorted(each.partition("\t")[0] for each in _callback(line, index)) == expected


def test_an_option_comes_once_with_its_help_on_one_line() -> None:
    lines = [each.split("\t") for each in _callback("llmcli -", 1)]
    names = [line[0] for line in lines]
    assert len(set(names)) == len(names)
    assert {"-m", "--model", "-h", "--help", "--version", "--no-stream"} <= set(names)
    assert all(len(line) == 2 and name.startswith("-") for name, line in zip(names, lines, strict=True))


def test_a_tab_loads_no_sdk() -> None:
    """pydantic is not on the list: typer itself loads it, for any parameter of any command."""
    env = {**os.environ, "_LLMCLI_COMPLETE": "complete_bash", "COMP_WORDS": "llmcli -m op", "COMP_CWORD": "2"}
    timed = [COMMAND[0], "-X", "importtime", *COMMAND[1:]]
    done = subprocess.run(timed, env=env, capture_output=True, text=True, check=True, timeout=_PATIENCE_S)
    assert done.stdout.splitlines() == complete_model("op")
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "llmcli.cli.completion" in loaded
    assert loaded.isdisjoint({"openai", "anthropic", "httpx2", "boto3", "prompt_toolkit", "rich"})


# bash.


def _reply(env: dict[str, str], line: str, breaks: str) -> list[str]:
    """COMPREPLY, and what compopt was told, for `line` cut into words as readline cuts one without quotes."""
    cut = "".join(each for each in breaks if each in ":=")
    words = re.findall(rf"[{cut}]+|[^\s{cut}]+" if cut else r"\S+", line)
    if line.endswith(" "):
        words.append("")
    driver = """
        source "$1"; COMP_WORDBREAKS=$2 COMP_LINE=$3 COMP_POINT=${#3} COMP_WORDS=("${@:4}")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        compopt() { echo "compopt $*"; }
        _llmcli_completion llmcli
        [[ ${#COMPREPLY[@]} -eq 0 ]] || printf '%s\\n' "${COMPREPLY[@]}"
    """
    argv = ["bash", "--norc", "-uc", driver, "bash", str(COMPLETIONS / "llmcli.bash"), breaks, line, *words]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True, timeout=_PATIENCE_S)
    assert done.stderr == ""
    return done.stdout.splitlines()


BREAKS = " \t\n\"'><=;|&(:"  # bash's own


@needs_bash
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("llmcli ", ["ask", *COMMANDS]),
        ("llmcli -m ", complete_model("")),
        ("llmcli -m op", complete_model("op")),
        ("llmcli -m ollama:", [name.removeprefix("ollama:") for name in complete_model("ollama:")]),
        (f"llmcli -m {COLONS[:-1]}", [COLONS.rpartition(":")[2]]),
        (f"llmcli --model={COLONS[:-1]}", [COLONS.rpartition(":")[2]]),
        (f"llmcli -m {PREFIX[:-1]}", ["compopt -o nospace", PREFIX]),
        ("llmcli --format=", ["auto", "text", "markdown", "json", "ndjson"]),
        ("llmcli --api-key-file ", ["compopt -o default"]),
        ("llmcli --file=x:", ["compopt -o default"]),
        ("llmcli hello ", []),
    ],
)
def test_bash_function(env: dict[str, str], line: str, expected: list[str]) -> None:
    assert sorted(_reply(env, line, BREAKS)) == sorted(expected)


@needs_bash
@pytest.mark.parametrize(
    ("breaks", "expected"),
    [
        (BREAKS.replace(":", ""), COLONS),
        (BREAKS.replace("=", ""), COLONS.rpartition(":")[2]),
        (" \t\n", f"--model={COLONS}"),
    ],
)
def test_bash_with_other_word_breaks(env: dict[str, str], breaks: str, expected: str) -> None:
    assert _reply(env, f"llmcli --model={COLONS[:-1]}", breaks) == [expected]


@needs_bash
def test_bash_keys(bash: Terminal) -> None:
    assert [bash.after_tab(line) for line, _ in LINES] == [after for _, after in LINES]


@needs_bash
def test_bash_lists(bash: Terminal) -> None:
    bash.type("llmcli -m ollama:\t\t")
    shown = sorted(PROVIDERS["ollama"].models)
    assert bash.until("(" + r"\s+".join(map(re.escape, shown)) + ")").split() == shown


@needs_bash
def test_bash_loads_it_on_the_first_tab(env: dict[str, str], tmp_path: Path) -> None:
    """As bash-completion does: a default that sources the file named like the command, and asks to be asked again."""
    load = f"load() {{ source '{COMPLETIONS}'/\"$1\".bash && return 124; }}; complete -D -F load"
    with _bash(env, tmp_path, load) as bash:
        assert bash.line() == "ready"
        assert bash.after_tab(f"llmcli -m {PLAIN[:-1]}") == f"llmcli -m {PLAIN} "


# zsh.


@needs_zsh
def test_zsh_keys(zsh: Terminal) -> None:
    expected = [after.replace(":~", r":\~") for _, after in LINES]  # zsh quotes it, though it need not
    assert [zsh.after_tab(line) for line, _ in LINES] == expected


@needs_zsh
def test_zsh_lists_with_help(zsh: Terminal) -> None:
    zsh.type("llmcli \t")
    assert zsh.until(r"(ask +-- .*config +-- .*providers +-- )")


# fish.


def _fish(env: dict[str, str], cwd: Path, line: str) -> list[str]:
    """The candidates, each with its help after a tab."""
    command = f"source '{COMPLETIONS / 'llmcli.fish'}'; complete -C $argv[1]"
    argv = ["fish", "--no-config", "-c", command, "--", line]
    done = subprocess.run(argv, env=env, cwd=cwd, capture_output=True, text=True, check=True, timeout=_PATIENCE_S)
    assert done.stderr == ""
    return done.stdout.splitlines()


@needs_fish
@pytest.mark.parametrize(("line", "after"), LINES)
def test_fish_keys(env: dict[str, str], tmp_path: Path, line: str, after: str) -> None:
    offered = [each.partition("\t")[0] for each in _fish(env, tmp_path / "files", line)]
    if line == after:
        assert offered == []
    else:
        token = re.split(r"(?<!\\) |>(?! )", after.strip())[-1]
        assert [each.replace(" ", r"\ ") for each in offered] == [token.strip('"')]


@needs_fish
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("llmcli ", sorted(["ask", *COMMANDS])),
        ("llmcli -m ", complete_model("")),
        ("llmcli -m op", complete_model("op")),
        ("llmcli --format ", ["auto", "text", "markdown", "json", "ndjson"]),
        ("llmcli config show --", ["--help", "--json"]),
        ("llmcli --api-key-file ", ["my file.txt", "notes.txt"]),
    ],
)
def test_fish_offers(env: dict[str, str], tmp_path: Path, line: str, expected: list[str]) -> None:
    offered = _fish(env, tmp_path / "files", line)
    assert sorted(each.partition("\t")[0] for each in offered) == sorted(expected)


@needs_fish
def test_fish_shows_help(env: dict[str, str], tmp_path: Path) -> None:
    assert any(each.startswith("ask\tSend one prompt") for each in _fish(env, tmp_path / "files", "llmcli "))
