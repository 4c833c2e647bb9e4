"""What saved conversations cost: `python -m tests.bench_store`; the times are medians of real commands, in seconds.

It compares 100,000 saved messages with 1,000, the 1,000th turn of a conversation with the 10th, and a one-shot that is
saved with one that is not. Each pair of commands runs in turns, so that a busy moment of the machine meets both.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from llmcli.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from llmcli.store.codec import insert_message
from llmcli.store.database import writing
from llmcli.store.log import begin_conversation, set_tip
from llmcli.store.recorder import Recorder, Recording
from llmcli.store.turns import Place, TurnEnd, TurnStart
from llmcli.usage import Usage
from tests.command import COMMAND
from tests.fake_provider import FakeProvider, chat_reply

_WORDS = (
    *("water", "tea", "pot", "leaf", "steam", "cup", "kettle", "garden", "stone", "river", "light", "paper"),
    *("window", "sugar", "honey", "lemon", "茶", "お茶"),
)


def fill(home: Path, count: int) -> None:
    """Save so many messages, twenty a conversation; one in a thousand has a rare word."""
    os.environ["LLMCLI_HOME"] = str(home)
    randomly = random.Random(1)
    with writing() as database:
        for number in range(count // 20):
            moment = f"2026-01-{1 + number % 28:02}T00:{number // 60 % 60:02}:{number % 60:02}.{number % 1000:03}+00:00"
            start = TurnStart("openai:m", place=Place(os.getcwd(), "t"), started=moment)
            one = begin_conversation(database, start, title=f"talk {number}")
            parent = None
            for at in range(20):
                text = " ".join(randomly.choices(_WORDS, k=60)) + (
                    " zyzzyva 龍虎" if (number * 20 + at) % 1000 == 7 else ""
                )
                kind, part = ("response", "text") if at % 2 else ("request", "user-prompt")
                message = {"kind": kind, "parts": [{"part_kind": part, "content": text}]}
                parent = insert_message(database, one, parent, None, message)
            set_tip(database, one, parent)
            database.execute("UPDATE conversations SET turns = 10 WHERE id = ?", (one,))


def alternately(runs: int, *calls: Callable[[], Any]) -> list[float]:
    """The median time of each call; they run in turns."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(runs):
        for call, mine in zip(calls, times, strict=True):
            begun = time.perf_counter()
            call()
            mine.append(time.perf_counter() - begun)
    return [statistics.median(one) for one in times]


def command(args: Sequence[str], env: Mapping[str, str]) -> Callable[[], None]:
    def call() -> None:
        subprocess.run(
            [*COMMAND, *args], env={**os.environ, **env}, stdin=subprocess.DEVNULL, capture_output=True, check=True
        )

    return call


def compare_sizes(folder: Path, runs: int, provider: FakeProvider) -> None:
    """Times with 1,000 and with 100,000 messages."""
    for count in (1000, 100_000):
        fill(folder / str(count), count)
    searches = (["zyzzyva"], ["kettle"], ["water", "honey"], ["龍虎"], ["茶"])
    more = {"LLMCLI_OPENAI_BASE_URL": provider.url, "OPENAI_API_KEY": "sk-0123456789", "LLMCLI_RETRIES": "0"}
    for args in (
        ["log", "list"],
        *(["log", "search", *words] for words in searches),
        ["--session", "last", "-n", "-m", "openai:m", "hi"],
    ):
        calls = [command(args, {**more, "LLMCLI_HOME": str(folder / str(count))}) for count in (1000, 100_000)]
        few, many = alternately(runs, *calls)
        print(f"{' '.join(args):32} {few:8.3f} {many:8.3f}   ratio {many / few:.2f}")


def compare_turns(folder: Path, runs: int) -> None:
    """The CPU time to save the 10th and the 1,000th turn of a conversation: the disk has its own mind."""
    os.environ["LLMCLI_HOME"] = str(folder / "turns")
    recorder = Recorder(Recording())
    messages: list[ModelMessage] = []
    usage, times = Usage(1, 5, 5, 10), []
    for _ in range(1000 + runs):
        request, response = (
            ModelRequest((UserPromptPart("hi"),)),
            ModelResponse((TextPart("ho " * 100),), "stop", usage),
        )
        begun = time.process_time()
        recorder.begin(TurnStart("openai:m"), messages, request)
        recorder.answered()
        recorder.end(TurnEnd("openai:m", "m", "stop", usage), [response])
        times.append(time.process_time() - begun)
        messages += [request, response]
    tenth, last = statistics.median(times[10 : 10 + runs]), statistics.median(times[1000:])
    print(f"{'the 10th and the 1,000th turn':32} {tenth:8.5f} {last:8.5f}   ratio {last / tenth:.2f}")


def compare_saving(folder: Path, runs: int, provider: FakeProvider) -> None:
    """A one-shot without and with saving: to the request, and to the exit."""
    env = {
        "LLMCLI_OPENAI_BASE_URL": provider.url,
        "OPENAI_API_KEY": "sk-0123456789",
        "LLMCLI_RETRIES": "0",
        "LLMCLI_HOME": str(folder / "saving"),
    }
    wire: dict[str, list[float]] = {"-n": [], "--save": []}
    whole: dict[str, list[float]] = {"-n": [], "--save": []}
    for _ in range(runs):
        for how, to_wire in wire.items():
            provider.asked.clear()
            begun = time.perf_counter()
            process = subprocess.Popen(
                [*COMMAND, how, "-m", "openai:m", "hi"],
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            provider.asked.wait(60)
            to_wire.append(time.perf_counter() - begun)
            process.wait()
            whole[how].append(time.perf_counter() - begun)
    for what, times in (("to the request, -n and --save", wire), ("to the exit, -n and --save", whole)):
        plain, saved = statistics.median(times["-n"]), statistics.median(times["--save"])
        print(f"{what:32} {plain:8.3f} {saved:8.3f}   ratio {saved / plain:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder, FakeProvider() as provider, suppress(KeyboardInterrupt):
        provider.answer(chat_reply("hello"))
        print(json.dumps({"load": os.getloadavg()}))
        print(f"{'':32} {'1,000':>8} {'100,000':>8}")
        compare_sizes(Path(folder), runs, provider)
        compare_turns(Path(folder), runs)
        compare_saving(Path(folder), 2 * runs, provider)


if __name__ == "__main__":
    main()
