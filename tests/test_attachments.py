"""Images, PDF and audio beside a prompt: the bytes that leave, in each protocol's shape, and what is refused."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.command import llmcli
from tests.fake_provider import FakeProvider, chat_reply
from tests.pty_terminal import Terminal
from tests.wire import SPOKEN, environment, wire

PNG, JPEG, PDF = b"\x89PNG\r\n\x1a\n\x00\xff.", b"\xff\xd8\xff\xe0\x00", b"%PDF-1.7\n\xe2"
WAV, MP3 = b"RIFF\x04\x00\x00\x00WAVEfmt ", b"ID3\x04\x00"


@pytest.fixture(params=SPOKEN)
def protocol(request: pytest.FixtureRequest, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in environment(SPOKEN[request.param], provider.url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LLMCLI_MODEL", f"{SPOKEN[request.param]}:wire-1")
    provider.answers = [wire(request.param, "stop")]
    return str(request.param)


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def first_block(provider: FakeProvider) -> Any:
    """The block before the text, in the last turn that left."""
    body = provider.requests[-1].body
    turn = (body.get("messages") or body.get("input") or body.get("contents"))[-1]
    blocks = turn.get("content") or turn.get("parts")
    assert blocks[-1].get("text") == "what is this?"
    return blocks[0]


IMAGES = {
    "openai": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{b64(PNG)}"}},
    "openai-responses": {"type": "input_image", "image_url": f"data:image/png;base64,{b64(PNG)}"},
    "anthropic": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": b64(PNG)}},
    "gemini": {"inlineData": {"mimeType": "image/png", "data": b64(PNG)}},
    "bedrock": {"image": {"format": "png", "source": {"bytes": b64(PNG)}}},
    "cohere": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{b64(PNG)}"}},
}
DOCUMENTS = {
    "openai": {"type": "file", "file": {"filename": "a_b.pdf", "file_data": f"data:application/pdf;base64,{b64(PDF)}"}},
    "openai-responses": {
        "type": "input_file",
        "filename": "a_b.pdf",
        "file_data": f"data:application/pdf;base64,{b64(PDF)}",
    },
    "anthropic": {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": b64(PDF)}},
    "gemini": {"inlineData": {"mimeType": "application/pdf", "data": b64(PDF)}},
    "bedrock": {"document": {"name": "a b pdf 1", "format": "pdf", "source": {"bytes": b64(PDF)}}},
}
URL = "https://example.com/boat.png"
LINKS = {
    "openai": {"type": "image_url", "image_url": {"url": URL}},
    "openai-responses": {"type": "input_image", "image_url": URL},
    "anthropic": {"type": "image", "source": {"type": "url", "url": URL}},
    "gemini": {"fileData": {"mimeType": "image/png", "fileUri": URL}},
    "cohere": {"type": "image_url", "image_url": {"url": URL}},
}
SOUNDS = {
    "openai": {"type": "input_audio", "input_audio": {"data": b64(MP3), "format": "mp3"}},
    "gemini": {"inlineData": {"mimeType": "audio/mpeg", "data": b64(MP3)}},
}


def test_an_image_from_stdin(provider: FakeProvider, protocol: str) -> None:
    assert llmcli("what is this?", "-a", "-", stdin=PNG).code == 0
    assert first_block(provider) == IMAGES[protocol]


@pytest.mark.parametrize(
    ("name", "content", "shapes"), [("a_b.pdf", PDF, DOCUMENTS), ("c.dat", MP3, SOUNDS), (URL, None, LINKS)]
)
def test_files_and_addresses(
    provider: FakeProvider, protocol: str, tmp_path: Path, name: str, content: bytes | None, shapes: dict[str, Any]
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    result = llmcli("what is this?", "--attach", name if content is None else str(tmp_path / name))
    if protocol in shapes:
        assert result.code == 0
        assert first_block(provider) == shapes[protocol]
    else:
        assert (result.code, provider.requests) == (2, [])
        assert f"takes no {'image/png by its address' if content is None else ''}" in result.stderr


@pytest.mark.parametrize(
    ("content", "kind"),
    [(PNG, "image/png"), (JPEG, "image/jpeg"), (b"GIF89a;", "image/gif"), (WAV, "audio/wav"), (MP3, "audio/mpeg")],
)
def test_attachment_type_is_recognised_by_its_bytes(provider: FakeProvider, content: bytes, kind: str) -> None:
    env = environment("google-gla", provider.url)
    result = llmcli("x", "-m", "google-gla:m", "--dry-run", "-a", "-", stdin=content, env=env)
    assert f'"mimeType": "{kind}"' in result.stdout.decode()


@pytest.mark.parametrize(
    ("args", "stdin", "said"),
    [
        (["-a", "nothing.png"], b"", "cannot read nothing.png"),
        (["-a", "-", "-f", "-"], PNG, "stdin can be read only once"),
        (["-a", "-"], b"just text", "- is no image, PDF or audio"),
    ],
)
def test_what_is_refused(args: list[str], stdin: bytes, said: str) -> None:
    result = llmcli("hi", "-m", "test", *args, stdin=stdin)
    assert (result.code, said in result.stderr) == (2, True), result.stderr


def test_too_large_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "big.png").write_bytes(PNG + bytes(20_000_001))
    result = llmcli("hi", "-m", "test", "-a", str(tmp_path / "big.png"))
    assert (result.code, "20,000,000" in result.stderr) == (2, True)


def test_a_picture_wants_a_question() -> None:
    assert llmcli("-m", "test", "-a", "-", stdin=PNG).code == 2


def test_in_a_session_it_goes_with_the_next_prompt_and_again(
    provider: FakeProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMCLI_OPENAI_BASE_URL", provider.url)
    monkeypatch.setenv("LLMCLI_FORMAT", "text")
    (tmp_path / "boat.png").write_bytes(PNG)
    provider.answer(chat_reply("a boat\n"))
    with Terminal("-m", "openai:m", "--no-usage", columns=160) as terminal:
        terminal.say(f"/attach {tmp_path}/boat.png")
        terminal.see("boat.png, image/png")
        terminal.see(lambda: "1 file waiting" in terminal.bar, "the file in the bar")
        terminal.say("/attach")
        terminal.say("what is this?")
        terminal.see("\na boat\n")
        assert first_block(provider) == IMAGES["openai"]
        terminal.see(lambda: "waiting" not in terminal.bar, "no file in the bar")
        terminal.say("/retry")
        terminal.see(lambda: terminal.text.count("\na boat\n") == 2, "the reply again")
        assert first_block(provider) == IMAGES["openai"]
        terminal.say("/attach nothing.png")
        terminal.see("error: cannot read nothing.png")


def test_a_chain_is_asked_only_if_each_of_it_takes_the_file(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for prefix in ("openai", "anthropic"):
        for name, value in environment(prefix, provider.url).items():
            monkeypatch.setenv(name, value)
    result = llmcli("what is this?", "-m", "openai:a,anthropic:b", "-a", "-", stdin=MP3)
    assert (result.code, provider.requests) == (2, [])
    assert "anthropic:b takes no audio/mpeg: stdin" in result.stderr


def test_documents_of_one_name_are_told_apart(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in environment("bedrock", provider.url).items():
        monkeypatch.setenv(name, value)
    provider.answers = [wire("bedrock", "stop")]
    (tmp_path / "x").mkdir()
    for path in (tmp_path / "a.pdf", tmp_path / "x" / "a.pdf"):
        path.write_bytes(PDF)
    assert llmcli("hi", "-m", "bedrock:m", "-a", str(tmp_path / "a.pdf"), "-a", str(tmp_path / "x" / "a.pdf")).code == 0
    blocks = provider.requests[0].body["messages"][0]["content"]
    assert [block["document"]["name"] for block in blocks[:2]] == ["a pdf 1", "a pdf 2"]


def test_a_model_that_does_not_take_the_files_of_the_conversation_leaves_the_old_one(
    provider: FakeProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for prefix in ("openai", "anthropic"):
        for name, value in environment(prefix, provider.url).items():
            monkeypatch.setenv(name, value)
    provider.answer(chat_reply("a song"))
    (tmp_path / "song").write_bytes(MP3)
    (tmp_path / "words").write_text("la la")
    with Terminal("chat", "-m", "openai:m", "-a", str(tmp_path / "song"), "--no-usage", columns=120) as terminal:
        terminal.say("what is this?")
        terminal.see("\na song\n")
        terminal.say("/model anthropic:claude-x")
        terminal.see("error: anthropic:claude-x takes no audio/mpeg: song")
        terminal.see(lambda: terminal.bar.startswith("openai:m"), "the old model in the bar")
        terminal.say(f"/attach {tmp_path}/song")
        terminal.say(f"/file {tmp_path}/words")
        terminal.see(lambda: "2 files waiting" in terminal.bar, "both in the bar")
        terminal.say("/attach -")
        terminal.see("\nnothing is attached to the next prompt\n")
        terminal.say("/file -")
        terminal.see("\nno file waits for a prompt\n")
        terminal.see(lambda: "waiting" not in terminal.bar, "none in the bar")
