"""The batch services of vendors on 127.0.0.1, in the shapes that their documentation shows."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self

Outcome = str | Mapping[str, Any]  # "ok", "expired", "cancelled", "missing", or the body of an error with `status`


class FakeService:
    """A batch service; `outcomes` says what becomes of a row by its name, and else it is answered.

    `faults` are the next answers to requests, in order, whatever is asked: a status and a body, or None for the usual.
    """

    ok: ClassVar[Mapping[str, Any]] = {}  # the body of a good answer

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.faults: list[tuple[int, bytes] | None] = []
        self.outcomes: dict[str, Outcome] = {}
        self.rows: dict[str, list[dict[str, Any]]] = {}  # by job
        self.files: dict[str, bytes] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.state = ""
        self.left = False
        self.hold = ""  # the end of the path whose answer never comes
        self.held = threading.Event()  # such a request has come
        self.lose = ""  # the end of the path whose answer is lost: the request counts, the client does not know
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.requests.append((self.command, self.path, headers, body))
                fault = outer.faults.pop(0) if outer.faults else None
                if outer.hold and self.path.endswith(outer.hold):
                    outer.handle(self.command, self.path, headers, body)
                    outer.held.set()
                    self.rfile.read(1)  # until the client is gone
                    self.close_connection = True
                    return
                if outer.lose and self.path.endswith(outer.lose) and self.command == "POST":
                    outer.lose = ""
                    outer.handle(self.command, self.path, headers, body)
                    self.close_connection = True
                    return
                status, answer = fault or outer.handle(self.command, self.path, headers, body)
                self.send_response(status)
                if status == 302:
                    self.send_header("location", "http://127.0.0.1:1/elsewhere")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = _any  # noqa: N815 - the names of http.server

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if not self.left:
            self.left = True
            self._server.shutdown()
            self._server.server_close()

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        answer = self.answer(method, path.partition("?")[0], headers, body)
        if isinstance(answer, bytes):
            return 200, answer
        return (
            (404, b'{"error": {"message": "no such thing"}}') if answer is None else (200, json.dumps(answer).encode())
        )

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Any:
        raise NotImplementedError

    def outcome(self, name: str) -> Outcome:
        return self.outcomes.get(name, "ok")


def jsonl(*objects: object) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in objects)


def form(headers: Mapping[str, str], body: bytes) -> dict[str, bytes]:
    """The fields of a form."""
    boundary = headers["content-type"].partition("boundary=")[2].encode()
    found = {}
    for part in body.split(b"--" + boundary)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        assert name
        found[name[1].decode()] = content.removesuffix(b"\r\n")
    return found


class FakeOpenAI(FakeService):
    """developers.openai.com/api/docs/guides/batch; `wrapped` answers as Together does."""

    wrapped = False
    ok: ClassVar = {
        "id": "c1",
        "object": "chat.completion",
        "model": "m-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    }

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Any:
        if (method, path) == ("POST", "/v1/files"):
            fields = form(headers, body)
            name = f"file-{len(self.files)}"
            self.files[name] = fields["file"]
            self.files[f"{name}-purpose"] = fields["purpose"]
            return {"id": name, "object": "file", "purpose": fields["purpose"].decode()}
        if (method, path) == ("POST", "/v1/batches"):
            job = json.loads(body)
            name = f"batch_{len(self.jobs)}"
            self.jobs[name] = job
            self.rows[name] = [json.loads(line) for line in self.files[job["input_file_id"]].splitlines()]
            made = {"id": name, "object": "batch", "status": "validating", "metadata": job.get("metadata")}
            return {"job": made} if self.wrapped else made
        if (method, path) == ("GET", "/v1/batches"):
            data = [{"id": name, "metadata": job.get("metadata")} for name, job in self.jobs.items()]
            return {"object": "list", "data": [{"id": "other", "metadata": None}, *data]}
        if method == "GET" and (found := re.fullmatch(r"/v1/batches/(\w+)", path)):
            return self._batch(found[1])
        if method == "POST" and (found := re.fullmatch(r"/v1/batches/(\w+)/cancel", path)):
            self.state = "cancelling"
            return self._batch(found[1])
        if method == "GET" and (found := re.fullmatch(r"/v1/files/([\w-]+)/content", path)):
            return self.files.get(found[1])
        return None

    def _batch(self, name: str) -> dict[str, Any]:
        state = self.state or "completed"
        over = state in ("completed", "expired", "cancelled")
        if over:
            self._write(name)
        counts = {"total": len(self.rows[name]), "completed": 1, "failed": 0}
        files = {"output_file_id": f"{name}-out", "error_file_id": f"{name}-err"} if over else {}
        faults = {"errors": {"object": "list", "data": [{"message": "line 1 is no JSON"}]}} if state == "failed" else {}
        return {"id": name, "object": "batch", "status": state, "request_counts": counts, **files, **faults}

    def _write(self, name: str) -> None:
        good, bad = [], []
        for row in reversed(self.rows[name]):
            key, outcome = row["custom_id"], self.outcome(row["custom_id"])
            line = {"id": f"r-{key}", "custom_id": key, "response": None, "error": None}
            if outcome == "ok":
                good.append({**line, "response": {"status_code": 200, "request_id": "q", "body": self.ok}})
            elif outcome in ("expired", "cancelled"):
                bad.append({**line, "error": {"code": f"batch_{outcome}", "message": "This request could not be run."}})
            elif isinstance(outcome, Mapping):
                status = outcome["status"]
                bad.append({**line, "response": {"status_code": status, "body": {"error": outcome["error"]}}})
        self.files[f"{name}-out"], self.files[f"{name}-err"] = jsonl(*good), jsonl(*bad)


class FakeMistral(FakeService):
    """docs.mistral.ai/capabilities/batch."""

    ok: ClassVar = FakeOpenAI.ok

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Any:
        if (method, path) == ("POST", "/v1/files"):
            name = f"file-{len(self.files)}"
            self.files[name] = form(headers, body)["file"]
            return {"id": name, "object": "file"}
        if (method, path) == ("POST", "/v1/batch/jobs"):
            job = json.loads(body)
            name = f"job-{len(self.jobs)}"
            self.jobs[name] = job
            self.rows[name] = [json.loads(line) for line in self.files[job["input_files"][0]].splitlines()]
            return {"id": name, "status": "QUEUED"}
        if (method, path) == ("GET", "/v1/batch/jobs"):
            return {"data": [{"id": name, "metadata": job.get("metadata")} for name, job in self.jobs.items()]}
        if method == "POST" and re.fullmatch(r"/v1/batch/jobs/[\w-]+/cancel", path):
            self.state = "CANCELLATION_REQUESTED"
            return {"id": path.split("/")[-2], "status": self.state}
        if method == "GET" and (found := re.fullmatch(r"/v1/batch/jobs/([\w-]+)", path)):
            return self._job(found[1])
        if method == "GET" and (found := re.fullmatch(r"/v1/files/([\w-]+)/content", path)):
            return self.files.get(found[1])
        return None

    def _job(self, name: str) -> dict[str, Any]:
        state = self.state or "SUCCESS"
        answer = {"id": name, "status": state, "succeeded_requests": 1, "failed_requests": 0, "errors": []}
        if state in ("QUEUED", "RUNNING", "CANCELLATION_REQUESTED"):
            return answer
        if state == "FAILED":
            return {**answer, "errors": [{"message": "the model cannot be used in a batch"}]}
        lines: list[dict[str, Any]] = []
        for row in reversed(self.rows[name]):
            key, outcome = row["custom_id"], self.outcome(row["custom_id"])
            if outcome == "ok":
                lines.append({"custom_id": key, "response": {"status_code": 200, "body": self.ok}, "error": None})
            elif isinstance(outcome, Mapping):
                response = {"status_code": outcome["status"], "body": {"message": outcome["error"]["message"]}}
                lines.append({"custom_id": key, "response": response, "error": None})
        self.files[f"{name}-out"] = jsonl(*lines)
        return {**answer, "output_file": f"{name}-out", "error_file": None}


class FakeAnthropic(FakeService):
    """platform.claude.com/docs/en/build-with-claude/batch-processing."""

    ok: ClassVar = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m-1",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 1},
    }

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Any:
        if (method, path) == ("POST", "/v1/messages/batches"):
            name = f"msgbatch_{len(self.jobs)}"
            self.jobs[name] = {}
            self.rows[name] = json.loads(body)["requests"]
            return {"id": name, "type": "message_batch", "processing_status": "in_progress"}
        if method == "POST" and path.endswith("/cancel"):
            self.state = "canceling"
            return {"id": path.split("/")[-2], "processing_status": self.state}
        if method == "GET" and (found := re.fullmatch(r"/v1/messages/batches/(\w+)", path)):
            counts = {"processing": 0, "succeeded": 1, "errored": 1, "canceled": 0, "expired": 0}
            elsewhere = "http://127.0.0.1:1/steals-the-key"
            state = self.state or "ended"
            return {"id": found[1], "processing_status": state, "request_counts": counts, "results_url": elsewhere}
        if method == "GET" and (found := re.fullmatch(r"/v1/messages/batches/(\w+)/results", path)):
            return jsonl(*filter(None, map(self._line, reversed(self.rows[found[1]]))))
        return None

    def _line(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        outcome = self.outcome(row["custom_id"])
        result: dict[str, Any] = {"type": {"cancelled": "canceled"}.get(str(outcome), outcome)}
        if outcome == "ok":
            result = {"type": "succeeded", "message": self.ok}
        elif isinstance(outcome, Mapping):
            result = {"type": "errored", "error": {"type": "error", "error": outcome["error"]}}
        return None if outcome == "missing" else {"custom_id": row["custom_id"], "result": result}


class FakeGemini(FakeService):
    """ai.google.dev/api/batch-api; `keys` gives the metadata of each request back."""

    keys = False
    ok: ClassVar = {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1, "totalTokenCount": 4},
        "modelVersion": "m-1",
    }

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Any:
        if method == "POST" and path.endswith(":batchGenerateContent"):
            batch = json.loads(body)["batch"]
            name = f"batches/b{len(self.jobs)}"
            self.jobs[name] = batch
            self.rows[name] = batch["inputConfig"]["requests"]["requests"]
            return {"name": name, "metadata": {"state": "BATCH_STATE_PENDING", "displayName": batch["displayName"]}}
        if (method, path) == ("GET", "/v1beta/batches"):
            jobs = self.jobs.items()
            return {
                "operations": [{"name": name, "metadata": {"displayName": job["displayName"]}} for name, job in jobs]
            }
        if method == "POST" and path.endswith(":cancel"):
            self.state = "BATCH_STATE_CANCELLED"
            return {}
        if method == "GET" and (found := re.fullmatch(r"/v1beta/(batches/\w+)", path)):
            return self._operation(found[1])
        return None

    def _operation(self, name: str) -> dict[str, Any]:
        state = self.state or "BATCH_STATE_SUCCEEDED"
        stats = {"requestCount": "3", "successfulRequestCount": "1", "failedRequestCount": "2"}
        answer: dict[str, Any] = {"name": name, "metadata": {"state": state, "batchStats": stats}}
        if state in ("BATCH_STATE_PENDING", "BATCH_STATE_RUNNING"):
            return answer
        if state != "BATCH_STATE_SUCCEEDED":
            return {**answer, "done": True, "error": {"code": 1, "message": "the batch did not finish"}}
        rows = self.rows[name]
        found = [one for row in (reversed(rows) if self.keys else rows) if (one := self._result(row)) is not None]
        return {**answer, "done": True, "response": {"inlinedResponses": {"inlinedResponses": found}}}

    def _result(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        outcome = self.outcome(row["metadata"]["key"])
        more = {"metadata": row["metadata"]} if self.keys else {}
        if outcome == "missing":
            return None
        if outcome == "ok":
            return {"response": self.ok, **more}
        fault = outcome["error"] if isinstance(outcome, Mapping) else {"code": 1, "message": str(outcome)}
        return {"error": fault, **more}


Make = Callable[[], FakeService]
