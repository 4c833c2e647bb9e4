"""What Markdown that appends costs beside one rendering of the whole: `python -m tests.bench_markdown`."""

from __future__ import annotations

import gc
import os
import pty
import re
import resource
import sys
import termios
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from llmcli.messages import TextDelta
from llmcli.render import Stdout
from llmcli.render.markdown.document import whole
from llmcli.render.markdown.layout import Layout
from llmcli.render.markdown.renderer import MarkdownRenderer
from llmcli.render.markdown.theme import Look, find_look
from llmcli.result import Result

_SECTION = """\
## Step {n}: weigh the crates

Every crate goes on the scales **twice**, once as it came and once without its lid; the `log_{n}` holds both,
and the [handbook](https://example.com/handbook/{n}) says what to do when they *differ* by more than a pound.

- the scales on the quay, which are quick
  - on dry days only
  - never for `größe 8`
- the scales in the shed, 三箱まで at a time
- a spring balance, for fish 🐟

| Crate | Weight | Remark |
| --- | ---: | --- |
| `oil_{n}` | {n}2 | sealed |
| tea | 7 | お茶 from the second boat |
| rope | 140 | **wet**, so weigh it again tomorrow |

```python
def weigh_{n}(crates: list[Crate]) -> float:
    \"\"\"The weight of all, without their lids.\"\"\"
    total = 0.0
    for crate in crates:
        if crate.sealed:
            raise ValueError(f"{{crate.name}} is sealed")
        total += crate.weight - 0.5  # a lid
    return total
```

1. Write the date.
2. Write the weight, and sign:

   ```bash
   log --crate oil_{n} --weight {n}2 --sign
   ```

3. Close the book.

> **Note:** nobody signs for the fish. It was always like that, and the harbour master, who was asked
> about it in {n} letters, has not replied yet.

"""


def answer(lines: int) -> str:
    """A realistic answer of so many lines."""
    found: list[str] = ["# The harbour book", ""]
    number = 0
    while len(found) < lines:
        number += 1
        found += _SECTION.format(n=number).split("\n")[:-1]
    return "\n".join(found[:lines]) + "\n"


def blocks(lines: int) -> dict[str, str]:
    """Single blocks of so many lines."""
    return {
        "code": "```python\n" + "    total += crate.weight - 0.5  # a lid\n" * lines + "```\n",
        "list": "- the scales on the *quay*, which are `quick`\n" * lines,
        "table": "| a | b |\n|---|--:|\n" + "| the *quay* | 12 |\n" * lines,
        "quote": "> the scales on the *quay*, which are `quick`\n" * lines,
        "paragraph": "the scales on the *quay*, which are `quick`\n" * lines,
    }


@dataclass(frozen=True)
class Cost:
    """Bytes on the terminal, CPU seconds, and the seconds from the last piece to the end."""

    written: int
    cpu: float
    late: float


def on_a_terminal(columns: int, height: int, work: Callable[[], float]) -> Cost:
    """Do `work` with stdout on a terminal of its own; it returns when the last piece came."""
    main, side = pty.openpty()
    termios.tcsetwinsize(side, (height, columns))
    written = [0]

    def read() -> None:
        while True:
            try:
                written[0] += len(os.read(main, 65536))
            except OSError:
                return

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    kept, kept_stdout = os.dup(1), sys.stdout
    os.dup2(side, 1)
    sys.stdout = os.fdopen(os.dup(side), "w")
    begun = resource.getrusage(resource.RUSAGE_SELF)
    last = work()
    late = time.perf_counter() - last
    ended = resource.getrusage(resource.RUSAGE_SELF)
    sys.stdout.close()
    sys.stdout = kept_stdout
    os.dup2(kept, 1)
    for end in (kept, side):
        os.close(end)
    reader.join()
    os.close(main)
    cpu = ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime
    return Cost(written[0], cpu, late)


def look() -> Look:
    return find_look("dark", True, terminal=True)


def streamed(text: str, pause_s: float) -> Callable[[], float]:
    """The work of a stream in pieces of about six characters."""

    def work() -> float:
        renderer = MarkdownRenderer(Stdout(), look())
        due = time.perf_counter()
        for piece in re.findall(r"\s*\S{1,6}|\s+", text):
            due += pause_s
            if (rest := due - time.perf_counter()) > 0:
                time.sleep(rest)
            renderer.event(TextDelta(piece))
        last = time.perf_counter()
        renderer.end(Result("bench"))
        return last

    return work


def at_once(text: str) -> Callable[[], float]:
    """The work of one rendering of the whole."""

    def work() -> float:
        stdout = Stdout()
        lines = whole(text, Layout(look()), stdout.size()[0])
        stdout.steer("".join(f"{line}\n" for line in lines))
        return time.perf_counter()

    return work


def best(columns: int, height: int, work: Callable[[], float], times: int = 5) -> Cost:
    """The run that took the least CPU."""
    return min((on_a_terminal(columns, height, work) for _ in range(times)), key=lambda cost: cost.cpu)


def main() -> None:
    """Print the table."""
    gc.set_threshold(50_000)  # as the command does: a giant block is many objects that all stay
    text = answer(400)
    for columns, height in ((80, 24), (100, 30)):
        one = best(columns, height, at_once(text))
        print(f"{columns}x{height}: one rendering of 400 lines: {one.written} bytes, {one.cpu * 1000:.0f} ms CPU")
        fast = best(columns, height, streamed(text, 0))
        print(f"  all at once: {fast.written / one.written:.2f} x bytes, {fast.cpu / one.cpu:.2f} x CPU")
        paced = on_a_terminal(columns, height, streamed(text, 0.002))
        print(
            f"  2 ms a piece: {paced.written / one.written:.2f} x bytes, {paced.cpu / one.cpu:.2f} x CPU, "
            f"{paced.late * 1000:.1f} ms after the last piece"
        )
        long = best(columns, height, streamed(answer(4000), 0), 3)
        print(f"  4,000 lines at once: {long.cpu / fast.cpu:.1f} x the CPU of 400")
    for name in blocks(1):
        small, big = (best(80, 24, streamed(blocks(lines)[name], 0), 3) for lines in (400, 4000))
        print(f"one {name} of 4,000 lines at once: {big.cpu / small.cpu:.1f} x the CPU of 400, {big.cpu:.2f} s")


if __name__ == "__main__":
    main()
