"""The same reply in each protocol's own words, written by hand from the vendors' documentation; `wire` reads it."""

from __future__ import annotations

import json
from pathlib import Path

from llmcli.models import PROTOCOLS
from llmcli.providers.lookup import find_provider
from llmcli.providers.table import PROVIDERS
from tests.fake_provider import Answer, aws_frames

HERE = Path(__file__).parent
TEXT, THINKING, KEY = "Größe 😀 and\nmore.", "Let me see.", "sk-test-0123456789"
AWS = "application/vnd.amazon.eventstream"

# A prefix that speaks each protocol. Vertex speaks Gemini's behind credentials of its own: see test_vertex.py.
SPOKEN = {
    protocol: {"openai": "openai-chat", "openai-responses": "openai-responses"}.get(protocol)
    or next(row.name for row in PROVIDERS.values() if row.protocol == protocol)
    for protocol in PROTOCOLS
    if protocol not in ("test", "vertex", "local")
}


def environment(prefix: str, address: str) -> dict[str, str]:
    """The variables that point a provider to `address` and give it a key."""
    row = find_provider(prefix)
    return {row.address_variable: address, row.key_env[0]: KEY, "OPENAI_API_VERSION": "v1", "AWS_REGION": "r1"}


def wire(protocol: str, name: str) -> Answer:
    """The answer in `tests/wire/`: `name` is that of a file without its ending, or with it."""
    frames = HERE / protocol / f"{name}.frames"
    if frames.exists():
        events = (line.split(" ", 1) for line in frames.read_text().splitlines())
        return Answer((aws_frames(*((event, json.loads(payload)) for event, payload in events)),), content_type=AWS)
    if name.endswith(".json"):
        return Answer(((HERE / protocol / name).read_bytes(),), content_type="application/json")
    return Answer(((HERE / protocol / f"{name}.sse").read_bytes(),))
