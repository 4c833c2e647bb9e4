"""How long the command takes beside the smallest script on each stack, and beside other tools: `python -m tests.bench`.

The commands run in turns against one loopback server, so that a busy moment of the machine meets all of them; quote the
ratios. Install the project into a virtual environment (not editable) and name its folder with --venvs, as `llmcli`;
beside it may stand `llm`, `llm-anthropic` (both packages) and `clai`. What is missing is said, and left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fake_provider import Answer, FakeProvider, aws_frames, chat_chunk, named_sse, sse
from tests.wire import AWS, KEY, environment

_HTTPX2 = """
import json, sys, httpx2
body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
with httpx2.Client() as client, client.stream("POST", sys.argv[1] + "/v1/chat/completions", json=body) as response:
    for line in response.iter_lines():
        if line.startswith("data: {"):
            for choice in json.loads(line[6:])["choices"]:
                sys.stdout.write(choice["delta"].get("content") or "")
                sys.stdout.flush()
"""
_OPENAI = """
import sys, openai
client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="x")
for chunk in client.chat.completions.create(model="m", stream=True, messages=[{"role": "user", "content": "hello"}]):
    for choice in chunk.choices:
        sys.stdout.write(choice.delta.content or "")
        sys.stdout.flush()
"""
_ANTHROPIC = """
import sys, anthropic
client = anthropic.Anthropic(base_url=sys.argv[1], api_key="x")
asked = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}
for event in client.messages.create(stream=True, **asked):
    if event.type == "content_block_delta":
        sys.stdout.write(event.delta.text)
        sys.stdout.flush()
"""
_BOTO3 = """
import sys, boto3
keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
client = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=sys.argv[1], **keys)
asked = {"modelId": "m", "messages": [{"role": "user", "content": [{"text": "hello"}]}]}
for event in client.converse_stream(**asked)["stream"]:
    if "contentBlockDelta" in event:
        sys.stdout.write(event["contentBlockDelta"]["delta"]["text"])
        sys.stdout.flush()
"""
_PREFIXES = {
    "openai": "openai-chat",
    "openai-responses": "openai-responses",
    "anthropic": "anthropic",
    "gemini": "google-gla",
    "cohere": "cohere",
    "bedrock": "bedrock",
}


@dataclass(frozen=True)
class Command:
    """A command, the protocol that it is answered in (None: it asks nobody), and its variables."""

    argv: list[str]
    protocol: str | None
    env: Mapping[str, str]


@dataclass(frozen=True)
class Run:
    """Milliseconds from exec until the request had arrived, from exec until the end, of CPU; and MiB at the peak.

    0 where there is no such thing; a peak below this process's own is not to be seen.
    """

    wire: float
    exit: float
    cpu: float
    rss: float


def answer(protocol: str, chunks: int) -> Answer:
    """A reply of so many pieces of text, each sent by itself."""
    word = "word "
    end: dict[str, Any]
    if protocol == "anthropic":
        message = {"id": "m", "type": "message", "role": "assistant", "content": [], "model": "m", "usage": {}}
        start: dict[str, Any] = {"type": "message_start", "message": message}
        delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
        end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}}
        return Answer([named_sse(start), *[named_sse(delta)] * chunks, named_sse(end, {"type": "message_stop"})])
    if protocol == "openai-responses":
        delta = {"type": "response.output_text.delta", "delta": word}
        end = {"type": "response.completed", "response": {"status": "completed"}}
        return Answer([*[named_sse(delta)] * chunks, named_sse(end)])
    if protocol == "gemini":
        piece = {"content": {"parts": [{"text": word}]}}
        end = {"candidates": [{"finishReason": "STOP"}]}
        return Answer([*[sse({"candidates": [piece]}, end=None)] * chunks, sse(end, end=None)])
    if protocol == "cohere":
        delta = {"type": "content-delta", "delta": {"message": {"content": {"text": word}}}}
        end = {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}
        return Answer([*[named_sse(delta)] * chunks, named_sse(end)])
    if protocol == "bedrock":
        frame = aws_frames(("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": word}}))
        last = aws_frames(("messageStop", {"stopReason": "end_turn"}))
        return Answer([*[frame] * chunks, last], content_type=AWS)
    return Answer([*[sse(chat_chunk({"content": word}), end=None)] * chunks, sse(chat_chunk(finish="stop"))])


def commands(venvs: Path, url: str, home: Path) -> dict[str, Command]:
    """What there is to time, by name; says what is missing."""
    python = sys.executable
    ours = str(venvs / "llmcli/bin/llmcli")
    found = {
        "httpx2 script": Command([python, "-c", _HTTPX2, url], "openai", {}),
        "openai script": Command([python, "-c", _OPENAI, url], "openai", {}),
        "anthropic script": Command([python, "-c", _ANTHROPIC, url], "anthropic", {}),
        "boto3 script": Command([python, "-c", _BOTO3, url], "bedrock", {}),
        "llm": Command([str(venvs / "llm/bin/llm"), "-m", "mock", "--no-log", "hello"], "openai", {}),
        "llm --help": Command([str(venvs / "llm/bin/llm"), "--help"], None, {}),
        "llm-anthropic": Command(
            [str(venvs / "llm-anthropic/bin/llm"), "-m", "anthropic/claude-sonnet-4-5", "--no-log", "hello"],
            "anthropic",
            {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": url},
        ),
        "clai": Command(
            [str(venvs / "clai/bin/clai"), "-m", "openai-chat:m", "hello"],
            "openai",
            {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": KEY},
        ),
        "llmcli --help": Command([ours, "--help"], None, {}),
        "llmcli --version": Command([ours, "--version"], None, {}),
        "llmcli, one TAB": Command(
            [ours], None, {"_LLMCLI_COMPLETE": "complete_bash", "COMP_WORDS": "llmcli -m ope", "COMP_CWORD": "2"}
        ),
    }
    for protocol, prefix in _PREFIXES.items():
        env = {**environment(prefix, url), "AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": "us-east-1"}
        if protocol == "bedrock":  # a signature, as the script makes one, not a token
            env = {name: value for name, value in env.items() if name != "AWS_BEARER_TOKEN_BEDROCK"}
            env |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
        found[f"llmcli {prefix}"] = Command([ours, "-m", f"{prefix}:m", "hello"], protocol, env)
    models = f"- model_id: mock\n  model_name: m\n  api_base: {url}/v1\n"
    (home / "extra-openai-models.yaml").write_text(models)
    for name in [name for name, command in found.items() if not os.access(command.argv[0], os.X_OK)]:
        print(f"left out, as {found.pop(name).argv[0]} is missing: {name}", file=sys.stderr)
    return found


def timed(command: Command, provider: FakeProvider, home: Path) -> Run:
    """Run it once; SystemExit where it fails."""
    base = {"PATH": os.environ["PATH"], "HOME": str(home), "LLMCLI_HOME": str(home), "LLM_USER_PATH": str(home)}
    env = {**base, "LANG": "C.UTF-8", "OPENAI_API_KEY": KEY, **command.env}
    null = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
    reader, writer = os.pipe()
    provider.asked.clear()
    began = time.monotonic()
    pid = os.posix_spawn(command.argv[0], command.argv, env, file_actions=[*null, (os.POSIX_SPAWN_DUP2, writer, 1)])
    os.close(writer)
    asked = provider.asked.wait(60) if command.protocol else True
    wire = time.monotonic() - began if command.protocol else 0.0
    while os.read(reader, 1 << 16):
        pass
    os.close(reader)
    _, status, used = os.wait4(pid, 0)
    ended = time.monotonic() - began
    if status or not asked:
        raise SystemExit(f"failed: {' '.join(command.argv)}")
    return Run(wire * 1e3, ended * 1e3, (used.ru_utime + used.ru_stime) * 1e3, used.ru_maxrss / 1024)


def table(runs: Mapping[str, Sequence[Run]], reference: str) -> str:
    """Median (smallest to largest) and ratio of each figure, for each command."""
    lines = []
    for figure in ("wire", "exit", "cpu", "rss"):
        values = {name: [vars(run)[figure] for run in rows if vars(run)[figure]] for name, rows in runs.items()}
        values = {name: row for name, row in values.items() if row}
        whole = statistics.median(values.get(reference) or next(iter(values.values())))
        for name, row in values.items():
            middle = statistics.median(row)
            spread = f"({min(row):.0f} to {max(row):.0f})"
            lines.append(f"{figure:5} {name:25} {middle:9.1f} {spread:16} x {middle / whole:.3f}")
    return "\n".join(lines)


def main() -> None:
    """Time what was asked for, and print the tables."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--venvs", type=Path, default=Path("venvs"), help="the folder of the virtual environments")
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--chunks", type=int, nargs="+", default=[1, 20_000], help="lengths of the reply")
    options.add_argument("--only", default="", help="names of commands, with a comma between them")
    options.add_argument("--reference", default="llm", help="what the ratios are of; else the first command")
    asked = options.parse_args()
    with FakeProvider() as provider, tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        found = commands(asked.venvs.resolve(), provider.url, home)
        chosen = {name: found[name] for name in filter(None, asked.only.split(","))} or found
        for chunks in asked.chunks:
            runs: dict[str, list[Run]] = {name: [] for name in chosen}
            for number in range(-1, asked.rounds):  # the first one warms the disk, and does not count
                for name, command in chosen.items():
                    provider.answers = [answer(command.protocol or "openai", chunks)]
                    run = timed(command, provider, home)
                    if number >= 0:
                        runs[name].append(run)
            print(f"\n{chunks} chunks: ms, MiB; of {asked.rounds} runs the median and the spread\n")
            print(table(runs, asked.reference), flush=True)


if __name__ == "__main__":
    main()
