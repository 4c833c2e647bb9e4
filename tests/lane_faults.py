"""Everything that a vendor's batch service can do wrong, and what becomes of the rows: the table, and its page.

`python -m tests.lane_faults` writes docs/batch-faults.md; `test_lane_faults.py` runs every row for every lane.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "batch-faults.md"
LANES = ("openai", "groq", "together", "anthropic", "google-gla", "mistral")
BODY = b'{"error": {"message": "no"}}'
HTML = b"<html><head><title>Bad gateway</title></head></html>"
ALL, ONE = "all rows", "that row"


@dataclass(frozen=True)
class LaneFault:
    """What goes wrong, and the exit code and kind of the error that it is.

    `answer` is what the service says to the upload, `outcome` what becomes of one row, `state` that of the job by
    lane. `who` is whom the error hits; `others` are the lanes where it is another one (None: cannot happen there).
    """

    name: str
    code: int
    kind: str
    answer: tuple[int, bytes] | None = None
    outcome: str | Mapping[str, Any] | None = None
    state: Mapping[str, str] = field(default_factory=dict)
    gone: bool = False
    who: str = ALL
    others: Mapping[str, tuple[int, str, str] | None] = field(default_factory=dict)

    def expected(self, lane: str) -> tuple[int, str, str] | None:
        """The exit code, the kind, and whom it hits; None where it cannot happen."""
        if self.state and lane not in self.state:
            return None
        return self.others.get(lane, (self.code, self.kind, self.who))


def _refusal(status: int, word: str, code: int) -> Mapping[str, Any]:
    """A refused row as the services tell it: by status, by Anthropic's type, by google.rpc.Code."""
    return {"status": status, "error": {"type": word, "code": code, "message": "this row is refused"}}


_FAMILY = ("openai", "groq", "together")
FAULTS = (
    LaneFault("the upload: connection refused", 6, "network", gone=True),
    LaneFault("the upload: 400", 4, "refused", (400, BODY)),
    LaneFault("the upload: 401", 3, "authentication", (401, BODY)),
    LaneFault("the upload: 403", 3, "authentication", (403, BODY)),
    LaneFault("the upload: 404", 4, "not_found", (404, BODY)),
    LaneFault("the upload: 413", 4, "context_length", (413, BODY)),
    LaneFault("the upload: 429", 5, "rate_limit", (429, BODY)),
    LaneFault("the upload: 500", 5, "overloaded", (500, BODY)),
    LaneFault("the upload: 502, a web page", 5, "overloaded", (502, HTML)),
    LaneFault("the upload: a redirect", 4, "no_reply", (302, b"")),
    LaneFault("the upload: 200, a web page", 4, "no_reply", (200, HTML)),
    LaneFault("the upload: 200, nothing", 4, "no_reply", (200, b"")),
    LaneFault("the upload: 200, no identifier", 4, "no_reply", (200, b'{"ok": true}')),
    LaneFault("a row: refused", 4, "refused", outcome=_refusal(400, "invalid_request_error", 3), who=ONE),
    LaneFault("a row: rate limit", 5, "rate_limit", outcome=_refusal(429, "rate_limit_error", 8), who=ONE),
    LaneFault("a row: overloaded", 5, "overloaded", outcome=_refusal(503, "overloaded_error", 14), who=ONE),
    LaneFault(
        "a row: expired",
        5,
        "overloaded",
        outcome="expired",
        state={**dict.fromkeys(_FAMILY, "expired"), "anthropic": "ended"},
        who=ONE,
    ),
    LaneFault(
        "a row: cancelled with its job",
        4,
        "refused",
        outcome="cancelled",
        state={**dict.fromkeys(_FAMILY, "cancelled"), "anthropic": "ended"},
        who=ONE,
    ),
    LaneFault(
        "a row: left out",
        5,
        "overloaded",
        outcome="missing",
        who=ONE,
        others={"google-gla": (5, "overloaded", ALL)},
    ),
    LaneFault(
        "the job: failed",
        5,
        "overloaded",
        state={**dict.fromkeys(_FAMILY, "failed"), "google-gla": "BATCH_STATE_FAILED", "mistral": "FAILED"},
    ),
    LaneFault("the job: expired", 5, "overloaded", state={"google-gla": "BATCH_STATE_EXPIRED"}),
    LaneFault("the job: cancelled", 5, "overloaded", state={"google-gla": "BATCH_STATE_CANCELLED"}),
)


def page() -> str:
    """The table as Markdown."""
    lines = [
        "# What can go wrong in a vendor's batch service",
        "",
        "A row is what the service does; a cell is the exit code and the kind of the error, and whom it hits. Rows",
        "that are not hit keep their replies, and a run without `--half-price` finishes the others. No lane has met",
        "a live vendor: the services in the tests follow the vendors' documentation. The page is written by",
        "`python -m tests.lane_faults` from the table that the tests run.",
        "",
        f"| | {' | '.join(LANES)} |",
        f"|---|{'---|' * len(LANES)}",
    ]
    for fault in FAULTS:
        cells = (fault.expected(lane) for lane in LANES)
        lines.append(f"| {fault.name} | {' | '.join(f'{c[0]} {c[1]}, {c[2]}' if c else '' for c in cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
