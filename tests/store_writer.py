"""Save turns as fast as possible: `python -m tests.store_writer NAME TURNS PIECES` prints the number of each."""

from __future__ import annotations

import sys

from llmcli.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from llmcli.store.recorder import Recorder, Recording
from llmcli.store.turns import TurnEnd, TurnStart
from llmcli.usage import Usage


def main(name: str, turns: int, pieces: int) -> None:
    recorder = Recorder(Recording(name=name))
    messages: list[ModelMessage] = []
    usage = Usage(1, 5, 5, 10)
    for turn in range(turns):
        request = ModelRequest((UserPromptPart(f"{name} asks {turn}"),))
        recorder.begin(TurnStart("openai:m"), messages, request)
        recorder.answered()
        for piece in range(pieces):
            recorder.add("text", f"piece {piece} ")
        response = ModelResponse((TextPart("piece " * pieces),), "stop", usage, "openai:m", "m")
        recorder.end(TurnEnd("openai:m", "m", "stop", usage), [response])
        if recorder.error:
            sys.exit(recorder.error)
        messages += [request, response]
        print(turn + 1, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
