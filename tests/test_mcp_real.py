"""The MCP client against published servers: every tool is listed and called."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from llmcli.tools.mcp import MCPServer
from llmcli.tools.mcp_http import HTTPTransport
from llmcli.tools.mcp_stdio import StdioTransport
from llmcli.tools.process import inherited

_NPM = ("server-everything", "server-filesystem", "server-memory")
_SECONDS = 60.0


def python_server(name: str) -> str:
    program = Path(sys.executable).parent / name
    module = name.replace("-", "_")
    if find_spec(module) is None:
        pytest.skip(f"{name} is not installed: pip install 'llmcli[dev]'")
    return str(program) if program.exists() else f"{sys.executable} -m {module}"


@pytest.fixture(scope="session")
def npm_programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of the npm servers, installed once into a cache folder."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llmcli-tests" / "npm"
    programs = cache / "node_modules" / ".bin"
    if not all((programs / f"mcp-{name}").exists() for name in _NPM):
        cache.mkdir(parents=True, exist_ok=True)
        packages = [f"@modelcontextprotocol/{name}" for name in _NPM]
        command = [npm, "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(cache), *packages]
        with (cache / "lock").open("w") as lock:  # the workers of pytest-xdist are processes
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                subprocess.run(command, check=True, timeout=120)
            except (subprocess.SubprocessError, OSError):
                pytest.skip("npm cannot install the servers")
    return programs


def stdio(*command: str) -> MCPServer:
    env = inherited(os.environ)
    return MCPServer("real", lambda inbox: StdioTransport(inbox.who, command, env, inbox), _SECONDS)


def call_all(server: MCPServer, args: Mapping[str, Mapping[str, Any]], errors: frozenset[str] = frozenset()) -> None:
    """Every tool is called; a tool that is missing in `args` fails the test."""
    with closing(server):
        names = [tool["name"] for tool in server.open()]
        assert names
        for name in names:
            result = server.call(name, args[name])
            assert result.is_error == (name in errors), f"{name}: {result.content}"
            assert result.content or result.files


def test_time() -> None:
    args = {
        "get_current_time": {"timezone": "UTC"},
        "convert_time": {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"},
    }
    call_all(stdio(*python_server("mcp-server-time").split()), args)


def test_git(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    git = ["git", "-C", str(repo), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", "init", "-q", "-b", "main", str(repo)], check=True)
    subprocess.run([*git, "config", "user.email", "a@b.c"], check=True)
    subprocess.run([*git, "config", "user.name", "a"], check=True)
    (repo / "a.txt").write_text("one\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    (repo / "a.txt").write_text("two\n")
    here = {"repo_path": str(repo)}
    args: dict[str, dict[str, Any]] = {
        "git_status": here,
        "git_diff_unstaged": here,
        "git_diff_staged": here,
        "git_diff": {**here, "target": "main"},
        "git_commit": {**here, "message": "second"},
        "git_add": {**here, "files": ["a.txt"]},
        "git_reset": here,
        "git_log": here,
        "git_create_branch": {**here, "branch_name": "next"},
        "git_checkout": {**here, "branch_name": "next"},
        "git_show": {**here, "revision": "main"},
        "git_branch": {**here, "branch_type": "local"},
        "git_init": here,
    }
    call_all(stdio(*python_server("mcp-server-git").split()), args, frozenset({"git_commit"}))  # nothing is staged


EVERYTHING: Mapping[str, Mapping[str, Any]] = {
    "echo": {"message": "hi"},
    "get-annotated-message": {"messageType": "error", "includeImage": True},
    "get-env": {},
    "get-resource-links": {"count": 2},
    "get-resource-reference": {"resourceType": "Text", "resourceId": 1},
    "get-structured-content": {"location": "New York"},
    "get-sum": {"a": 1, "b": 2},
    "get-tiny-image": {},
    "gzip-file-as-resource": {"name": "a.gz", "data": "data:text/plain;base64,aGk=", "outputType": "resource"},
    "toggle-simulated-logging": {},
    "toggle-subscriber-updates": {},
    "trigger-long-running-operation": {"duration": 0.2, "steps": 2},
    "simulate-research-query": {"topic": "bees", "ambiguous": False},
}
# It is a task of many steps, which only clients that declare tasks may start.
_TASK = frozenset({"simulate-research-query"})


def test_everything_over_stdio(npm_programs: Path) -> None:
    server = stdio(str(npm_programs / "mcp-server-everything"))
    call_all(server, EVERYTHING, _TASK)


def test_everything_sends_pictures_links_and_structure(npm_programs: Path) -> None:
    with closing(stdio(str(npm_programs / "mcp-server-everything"))) as server:
        server.open()
        picture = server.call("get-tiny-image", {}).files[0]
        assert (picture.media_type, picture.data[:6]) == ("image/png", "iVBORw")
        assert "[link: " in server.call("get-resource-links", {"count": 1}).content
        assert "temperature" in server.call("get-structured-content", {"location": "New York"}).content
        lines: list[str] = []
        server.call("trigger-long-running-operation", {"duration": 0.2, "steps": 2}, progress=lines.append)
        assert lines == ["1 of 2", "2 of 2"]
        assert "OPENAI_API_KEY" not in server.call("get-env", {}).content


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def over_http() -> Iterator[Any]:
    """Start a program that serves HTTP on a port, and a client of it."""
    programs: list[subprocess.Popen[bytes]] = []

    def start(command: list[str], port: int, path: str = "/mcp") -> MCPServer:
        env = {**os.environ, "PORT": str(port)}
        programs.append(subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        until = time.monotonic() + _SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert time.monotonic() < until, "the server does not listen"
                assert programs[-1].poll() is None, "the server ended"
                time.sleep(0.05)
        url = f"http://127.0.0.1:{port}{path}"
        return MCPServer("real", lambda inbox: HTTPTransport(inbox.who, url, inbox, _SECONDS), _SECONDS)

    yield start
    for program in programs:
        program.kill()
        program.wait()


def test_everything_over_http(npm_programs: Path, over_http: Any) -> None:
    port = free_port()
    server = over_http([str(npm_programs / "mcp-server-everything"), "streamableHttp"], port)
    call_all(server, EVERYTHING, _TASK)


SDK_SERVER = """
import sys
from mcp.server.mcpserver import Context, MCPServer
server = MCPServer("demo")
@server.tool()
def add(a: int, b: int) -> int:
    "Add two numbers."
    return a + b
@server.tool()
async def steps(n: int, ctx: Context) -> str:
    "Report progress."
    for at in range(n):
        await ctx.report_progress(at + 1, n, "step")
    return "done"
server.run(*sys.argv[1:2], **({"port": int(sys.argv[2])} if sys.argv[2:] else {}))
"""


@pytest.mark.parametrize("transport", ["stdio", "streamable-http"])
def test_the_reference_sdk(transport: str, over_http: Any) -> None:
    python_server("mcp")
    command = [sys.executable, "-c", SDK_SERVER, transport]
    if transport == "stdio":
        server = stdio(*command)
    else:
        port = free_port()
        server = over_http([*command, str(port)], port)
    with closing(server):
        assert sorted(tool["name"] for tool in server.open()) == ["add", "steps"]
        lines: list[str] = []
        assert server.call("add", {"a": 1, "b": 2}).content == "3"
        assert server.call("steps", {"n": 2}, progress=lines.append).content == "done"
        assert lines == ["1 of 2: step", "2 of 2: step"]
        assert server.call("add", {"a": "x"}).is_error


def test_filesystem(npm_programs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.txt").write_text("one\ntwo\n")
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    text, here = {"path": str(folder / "a.txt")}, {"path": str(folder)}
    args: dict[str, dict[str, Any]] = {
        "read_file": text,
        "read_text_file": text,
        "read_media_file": {"path": str(folder / "a.png")},
        "read_multiple_files": {"paths": [str(folder / "a.txt")]},
        "write_file": {"path": str(folder / "b.txt"), "content": "new"},
        "edit_file": {**text, "edits": [{"oldText": "one", "newText": "1"}]},
        "create_directory": {"path": str(folder / "sub")},
        "list_directory": here,
        "list_directory_with_sizes": here,
        "directory_tree": here,
        "move_file": {"source": str(folder / "b.txt"), "destination": str(folder / "c.txt")},
        "search_files": {**here, "pattern": "*.txt"},
        "get_file_info": text,
        "list_allowed_directories": {},
    }
    call_all(stdio(str(npm_programs / "mcp-server-filesystem"), str(folder)), args)


def test_memory(npm_programs: Path, tmp_path: Path) -> None:
    entity = {"name": "bee", "entityType": "insect", "observations": ["flies"]}
    relation = {"from": "bee", "to": "bee", "relationType": "likes"}
    args: dict[str, dict[str, Any]] = {
        "create_entities": {"entities": [entity]},
        "create_relations": {"relations": [relation]},
        "add_observations": {"observations": [{"entityName": "bee", "contents": ["hums"]}]},
        "delete_entities": {"entityNames": ["wasp"]},
        "delete_observations": {"deletions": [{"entityName": "bee", "observations": ["hums"]}]},
        "delete_relations": {"relations": [relation]},
        "read_graph": {},
        "search_nodes": {"query": "bee"},
        "open_nodes": {"names": ["bee"]},
    }
    env = {**inherited(os.environ), "MEMORY_FILE_PATH": str(tmp_path / "memory.json")}
    program = str(npm_programs / "mcp-server-memory")
    call_all(MCPServer("real", lambda inbox: StdioTransport(inbox.who, (program,), env, inbox), _SECONDS), args)
