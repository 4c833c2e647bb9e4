"""The small model and its engine for tests, and an engine that does as a test says."""

from __future__ import annotations

import fcntl
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from llmcli.errors import LlmcliError
from llmcli.models.local_pull import pull

_KEPT = Path(os.environ.get("LLMCLI_TEST_MODELS") or Path(tempfile.gettempdir()) / f"llmcli-test-models-{os.getuid()}")

# What the test process was started with: the tests themselves run without pip's variables.
_ENVIRON = dict(os.environ)

FAKE_ENGINE = '''
"""Stands in for the real package: behaves as the prompt's last word says."""
import json, os, signal, sys, time

class _Any:
    def __getattr__(self, name):
        value = _Any()
        object.__setattr__(self, name, value)
        return value

class ggml_backend_dev_type:
    GGML_BACKEND_DEVICE_TYPE_CPU = 0

CommonParams = _Any

def get_device_info():
    return [{"type": 0}]

class Server:
    def __init__(self, params):
        self.params = params
        assert params.api_keys and params.hostnames[0].endswith(".sock")
        open(params.hostnames[0], "w").close()
        if os.path.getsize(params.model.path) % 2:
            sys.stderr.write("0.00.000.001 E llama_model_load: error loading model: tensor is not within the file\\n")
            sys.stderr.flush()
            raise RuntimeError("Failed to init server, please check the input params.")

    def handle_chat_completions(self, body, callback):
        word = body["messages"][-1]["content"].split()[-1]
        def say(text="", finish=None, **delta):
            delta = {"content": text, **delta} if text else delta
            return callback({"model": "fake", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
        if word == "crash-first":
            os.kill(os.getpid(), signal.SIGSEGV)
        if word == "body":
            say(json.dumps(body))
        if word == "params":
            say(json.dumps({name: getattr(self.params, name) for name in ("n_ctx", "warmup", "verbosity")}))
        if word == "environment":
            say(json.dumps(dict(os.environ)))
        if word == "raise":
            raise ValueError("JSON schema error at #: unrecognized type foo")
        if word == "overflow":
            message = "request (9031 tokens) exceeds the available context size (8192 tokens), try increasing it"
            return callback({"error": {"code": 400, "message": message, "type": "exceed_context_size_error"}})
        if word == "progress":
            for done in (0, 512, 1024):
                callback({"choices": [], "prompt_progress": {"total": 1024, "processed": done}})
        if word == "think":
            say(reasoning_content="Let me see.")
        say("one ")
        if word == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if word == "memory":
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "leave":
            os._exit(3)
        if word == "stall":
            time.sleep(600)
        if word == "print":
            print("a library speaks", flush=True)
        while word == "endless":
            time.sleep(0.01)
            if say("more "):
                return
        if word == "shape":
            return callback({"choices": 7})
        say("two")
        say(finish="length" if word == "length" else "stop")
        callback({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}})
'''


def small_model() -> Path:
    """The path of the real model; fetched once. Skips the test where it or its engine cannot be had."""
    if find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp is not installed")
    _KEPT.mkdir(mode=0o700, exist_ok=True)
    path = _KEPT / "data" / "models" / "smollm2.gguf"
    with (_KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.is_file():
            try:
                pull(lambda *_: None, {**_ENVIRON, "LLMCLI_HOME": str(_KEPT)})
            except LlmcliError as error:
                pytest.skip(f"the model cannot be fetched: {error.message}")
    return path


def write_fake_engine(folder: Path) -> None:
    """Put a package `xllamacpp` into the folder that does as the last word of a prompt says."""
    package = folder / "xllamacpp"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(FAKE_ENGINE)


def gguf(pairs: dict[str, object]) -> bytes:
    """The bytes of a GGUF file that has only a header: text and whole numbers."""
    import struct

    data = b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs))
    for key, value in pairs.items():
        data += struct.pack("<Q", len(key)) + key.encode()
        if isinstance(value, int):
            data += struct.pack("<II", 4, value)
        else:
            text = str(value).encode()
            data += struct.pack("<IQ", 8, len(text)) + text
    return data
