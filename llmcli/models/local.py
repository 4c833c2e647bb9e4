"""Answer with a model file on this machine, by llama.cpp: no key, no network, no charge.

`local:NAME` is a file that `local_files.py` finds, `local:PATH.gguf` any other. The engine speaks Chat Completions, so
bodies and chunks are those of `chat.py`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from llmcli.errors import NetworkError, ProviderError, UserError
from llmcli.messages import Attachment, ModelMessage, ModelSettings, Notice, Progress, StreamEvent
from llmcli.models import HTTPRequest, Model, option
from llmcli.models.event_builder import Reply
from llmcli.models.gguf import GGUFHeader, NotGGUF, read_header
from llmcli.models.local_files import file_of
from llmcli.models.local_process import Engine, packages_folder
from llmcli.providers.endpoint import Cloud, Endpoint

if TYPE_CHECKING:
    from llmcli.models.chat import ChatProtocol
    from llmcli.models.http.sse import Event

ENGINE_OPTIONS = ("n_ctx", "n_threads", "n_gpu_layers")
"""Fields of `-o` that are for the engine and not for the request: context in tokens, threads, layers on the GPU."""

_MOST_CONTEXT = 32_768  # tokens, unless n_ctx is given: the engine reserves memory for all of them
_MEMORY_SHARE = 4  # the context takes at most one part in so many of the memory
_UNKNOWN_CONTEXT = 4096


class LocalModel(Model):
    """A model file; it is loaded at the first request, and stays loaded until the model is dropped.

    One request runs at a time: others wait for it.
    """

    def __init__(self, endpoint: Endpoint, model: str, cloud: Cloud | None = None) -> None:
        self.model = model
        self.id = f"{endpoint.provider.name}:{model}"
        self._endpoint = endpoint
        self._provider = endpoint.provider
        self._path = file_of(model)
        packages_folder()
        self._header: GGUFHeader | None = None
        self._chat: ChatProtocol | None = None
        self._engine: Engine | None = None
        self._lock = threading.Lock()

    def stream(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> Generator[StreamEvent]:
        """See `Model.stream`."""
        if not self._lock.acquire(timeout=settings.timeout):
            raise NetworkError(f"{self.id}: busy with another request for {settings.timeout:g} s", kind="timeout")
        try:
            yield from self._stream(messages, settings)
        finally:
            self._lock.release()

    def _stream(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> Generator[StreamEvent]:
        engine = self._started(settings)
        settings, notes = self._fitting(messages, settings)  # imports what it needs while the engine loads
        yield from map(Notice, notes)
        body = self._body(messages, settings)
        if not engine.is_ready:
            yield Progress(f"loading {_megabytes(self._path.stat().st_size)}")
            engine.loading(settings.timeout)
        reply = Reply(self.id)
        try:
            with closing(_closable(engine.chunks(body, settings.timeout))) as chunks:
                first = None
                for chunk in chunks:
                    if not (progress := chunk.get("prompt_progress")):
                        first = chunk
                        break
                    if text := _reading(progress):
                        yield Progress(text)
                yield from self._read(chain([first] if first else [], chunks), reply)
        except ProviderError:
            yield from reply.flush()
            raise
        yield from reply.end()

    def _read(self, chunks: Iterator[dict[str, Any]], reply: Reply) -> Iterator[StreamEvent]:
        from llmcli.models.http.sse import DONE

        def events() -> Iterator[Event]:
            for chunk in chunks:
                yield "", chunk
            yield DONE, {}

        try:
            yield from self._protocol().read(events(), reply)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise NetworkError(f"{self.id}: a chunk of an unknown shape: {error}", kind="stream") from error

    def _protocol(self) -> ChatProtocol:
        if self._chat is None:
            from llmcli.models.chat import ChatProtocol

            self._chat = ChatProtocol(self._endpoint, self.model, Cloud())
        return self._chat

    def _fitting(
        self, messages: Sequence[ModelMessage], settings: ModelSettings
    ) -> tuple[ModelSettings, tuple[str, ...]]:
        """The settings without those that the engine does not take, and a note for each that was dropped."""
        self.check(settings, messages)
        refused = self.refused(settings)
        unset = vars(ModelSettings)
        notes = tuple(f"{option(name)} is not sent: {why}" for name, why in refused.items())
        return replace(settings, **{name: unset[name] for name in refused}), notes

    def _body(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> dict[str, Any]:
        from llmcli.models.http.protocol import merged

        extra = {name: value for name, value in settings.extra.items() if name not in ENGINE_OPTIONS}
        body = merged(self._protocol().body(messages, settings), extra)
        if settings.schema is not None:  # the engine makes a grammar of it
            form = {"name": settings.schema_name, "schema": settings.schema}
            body.setdefault("response_format", {"type": "json_schema", "json_schema": form})
        if settings.effort == "none":
            body = merged({"chat_template_kwargs": {"enable_thinking": False}}, body)
        return body | {"return_progress": True, "stream": True, "stream_options": {"include_usage": True}}

    def _started(self, settings: ModelSettings) -> Engine:
        """The engine with these settings' options, loading or loaded."""
        options = self._options(settings)
        if self._engine and not (self._engine.is_alive and self._engine.options == options):
            self._engine.close()
            self._engine = None
        if self._engine is None:
            self._engine = Engine(self.id, self._path, options, debug=self.debug)
        return self._engine

    def _options(self, settings: ModelSettings) -> dict[str, int]:
        given: dict[str, int] = {}
        for name in ENGINE_OPTIONS:
            value = settings.extra.get(name)
            least = 0 if name == "n_gpu_layers" else 1
            if value is None:
                continue
            if type(value) is not int or not least <= value < 1 << 31:
                raise UserError(f"{self.id}: -o {name} must be a whole number from {least} on, not {value!r}")
            given[name] = value
        return {"n_ctx": self._context(), **given}

    def _context(self) -> int:
        """How many tokens of context to make room for: the model's window, within the memory of this machine."""
        try:
            self._header = self._header or read_header(self._path)
        except OSError as error:
            raise UserError(f"cannot read {self._path}: {error.strerror}") from None
        except NotGGUF as error:
            raise ProviderError(f"{self.id}: cannot load {self._path}: {error}", hint="is the file whole?") from None
        wanted = min(self._header.context or _UNKNOWN_CONTEXT, _MOST_CONTEXT)
        if self._header.bytes_per_token and (memory := _memory()):
            wanted = min(wanted, max(memory // _MEMORY_SHARE // self._header.bytes_per_token, 512))
        return wanted

    def load(self) -> None:
        """See `Model.load`: the model too, so that the first reply need not wait for it."""
        self._protocol()
        if self._lock.acquire(blocking=False):
            try:
                self._started(ModelSettings())
            finally:
                self._lock.release()

    def refused(self, settings: ModelSettings) -> Mapping[str, str]:
        """See `Model.refused`."""
        return self._protocol().refused(settings)

    def takes(self, file: Attachment) -> bool:
        """See `Model.takes`: text alone."""
        return False

    def preview(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> HTTPRequest:
        """See `Model.preview`: the engine is started for nothing here."""
        import json

        settings, notes = self._fitting(messages, settings)
        body = json.dumps(self._body(messages, settings), ensure_ascii=False)
        return HTTPRequest("POST", self._path.absolute().as_uri(), {}, body, notes)


def _closable(chunks: Iterator[dict[str, Any]]) -> Generator[dict[str, Any]]:
    yield from chunks


def _reading(progress: object) -> str | None:
    """How much of the prompt the engine has read; None where it is hardly worth saying."""
    if not isinstance(progress, Mapping):
        return None
    done, total = progress.get("processed"), progress.get("total")
    if not isinstance(done, int) or not isinstance(total, int) or not 0 < done < total:
        return None
    return f"reading the prompt {100 * done // total} %"


def _megabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _memory() -> int | None:
    """The memory of this machine in bytes; None where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
