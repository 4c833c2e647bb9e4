"""An MCP server for tests, modern or legacy, that misbehaves on order: `fake_tool_server.py MODE [FILE]`.

Each received message is written to FILE as a line of JSON, and the environment as the first one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

MODE = sys.argv[1] if len(sys.argv) > 1 else "modern"
LOG = sys.argv[2] if len(sys.argv) > 2 else os.devnull
HOSTILE = "\x1b[31mred\x1b]0;title\x07\u202e\u200b\x9b2J\U000e0041"
ECHO = {
    "name": "echo",
    "description": "Return the text.",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    "annotations": {"readOnlyHint": True, "openWorldHint": False},
}
SEND = {"name": "send", "description": "Send the text.", "inputSchema": {"type": "object"}}


def log(value: object) -> None:
    with open(LOG, "a", encoding="utf-8") as file:
        file.write(json.dumps(value) + "\n")


def put(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def result(number: object, value: object) -> None:
    put({"id": number, "result": value})


def text(value: str, **more: object) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": value}], **more}


def tools() -> list[dict[str, Any]]:
    if MODE == "hostile":
        bad = {
            "name": f"echo{HOSTILE}",
            "description": HOSTILE,
            "inputSchema": {"properties": {"a": {"description": HOSTILE}}},
        }
        others: list[Any] = [
            {"name": 7},
            {"name": ""},
            {"name": "x" * 500},
            "no tool",
            {"name": "deep", "inputSchema": [1]},
        ]
        return [bad, *others]
    if MODE == "long-names":
        return [{**ECHO, "name": f"{'long' * 20}{at}"} for at in range(2)] + [
            {**ECHO, "name": "a.b"},
            {**ECHO, "name": "a_b"},
        ]
    return [ECHO, SEND]


def listed(message: dict[str, Any]) -> dict[str, Any]:
    if MODE != "paged":
        return {"tools": tools()}
    at = int(message["params"].get("cursor", 0))
    return {"tools": [{**ECHO, "name": f"echo{at}"}], "nextCursor": str((at + 1) % 3)}  # without end


def call(number: object, message: dict[str, Any]) -> None:
    args = message["params"].get("arguments", {})
    if MODE == "dies":
        print("out of memory\x1b[31m", file=sys.stderr, flush=True)
        os._exit(3)
    elif MODE == "hangs":
        time.sleep(1000)
    elif MODE == "floods":
        line = json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x" * 1000}}) + "\n"
        while True:
            sys.stdout.write(line * 100)
    elif MODE == "junk":
        sys.stdout.write(
            "Starting up...\n{\n[1, 2\n\xff\n" + "[" * 100_000 + "\n" + '{"id": ' + "9" * 5000 + "}\n\n[]\nnull\n"
        )
        sys.stdout.flush()
        result(number, text("after the junk"))
    elif MODE == "giant":
        for _ in range(100):
            sys.stdout.write("x" * (1 << 20))
        sys.stdout.write("\n")
        sys.stdout.flush()
        time.sleep(1000)
    elif MODE == "lies":
        others: list[object] = [True, f"{number}", None, 99, 0.5, [], {"a": 1}]
        for other in others:
            result(other, text("a lie"))
        put({"id": number, "result": text("the truth")})
        result(number, text("too late"))
    elif MODE == "asks":
        put({"id": "s1", "method": "sampling/createMessage", "params": {"messages": []}})
        put({"id": "e1", "method": "elicitation/create", "params": {}})
        put({"id": "r1", "method": "roots/list"})
        put({"id": "p1", "method": "ping"})
        answers = [json.loads(sys.stdin.readline()) for _ in range(4)]
        result(number, text(json.dumps({one["id"]: one.get("error", {}).get("code", "pong") for one in answers})))
    elif MODE == "hostile":
        result(number, text(f"said {HOSTILE}", structuredContent={"a": 1}, isError="yes"))
    elif MODE == "error":
        put(
            {"id": number, "error": {"code": -32000, "message": f"no such thing{HOSTILE}\nline two", "data": [HOSTILE]}}
        )
    elif MODE == "odd":
        result(number, {"content": {"type": "text"}, "structuredContent": None})
    elif MODE == "changes":
        ECHO["name"] = "renamed"
        put({"method": "notifications/tools/list_changed"})
        result(number, text("changed"))
    elif MODE == "progress":
        token = message["params"].get("_meta", {}).get("progressToken")
        for at in range(500):
            put(
                {
                    "method": "notifications/progress",
                    "params": {"progressToken": token, "progress": at, "total": 500, "message": HOSTILE},
                }
            )
        put({"method": "notifications/progress", "params": {"progressToken": 999, "progress": 1e308, "total": 10**400}})
        result(number, text("done"))
    elif MODE == "cancelled":
        log({"cancelled": json.loads(sys.stdin.readline())})
    elif message["params"]["name"] == "send":
        result(number, text("sent"))
    else:
        result(number, text(f"you said {args.get('text')}"))


def start() -> None:
    log({"environment": dict(os.environ), "pid": os.getpid()})
    if MODE == "child":
        code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)"
        child = subprocess.Popen([sys.executable, "-c", code])
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        log({"child": child.pid})
    elif MODE == "dies-at-start":
        print("Error: no database\x1b[31m", file=sys.stderr, flush=True)
        os._exit(3)
    elif MODE == "silent":
        time.sleep(1000)
    elif MODE == "floods-at-start":
        while True:
            sys.stdout.write("x" * 1000)


def main() -> None:
    start()
    for line in sys.stdin:
        message = json.loads(line)
        log(message)
        number, method = message.get("id"), message.get("method")
        modern = MODE not in ("legacy", "legacy-exits", "old", "new")
        if method == "server/discover" and modern:
            capabilities = {"tools": {"listChanged": MODE == "changes"}}
            result(number, {"supportedVersions": ["2026-07-28"], "capabilities": capabilities})
        elif method == "server/discover" and MODE == "legacy-exits":
            os._exit(1)
        elif method == "server/discover" and MODE == "new":
            put(
                {
                    "id": number,
                    "error": {"code": -32022, "message": "unsupported", "data": {"supported": ["2099-01-01"]}},
                }
            )
        elif method == "initialize":
            version = "2023-01-01" if MODE == "old" else "2025-06-18"
            result(number, {"protocolVersion": version, "capabilities": {}, "serverInfo": {}})
        elif method == "tools/list":
            result(number, listed(message))
        elif method == "tools/call":
            call(number, message)
        elif method and number is not None and method != "subscriptions/listen":
            put({"id": number, "error": {"code": -32601, "message": "Method not found"}})
    if MODE == "child":
        time.sleep(1000)


if __name__ == "__main__":
    main()
