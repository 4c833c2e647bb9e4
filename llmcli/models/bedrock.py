"""Amazon Bedrock Converse (docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html).

botocore, the half of boto3 below its clients, gives what only it knows: the credential chain, the signature, the
framing of event streams. The request itself goes over httpx2 like every other, so that proxies, time-outs, Ctrl-C, cuts
and --dry-run are the same everywhere.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, assert_never
from urllib.parse import quote

import httpx2
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.eventstream import ParserError
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as AWSConnectionError

from llmcli.errors import NetworkError, SettingsError
from llmcli.messages import (
    Attachment,
    FinishReason,
    ModelMessage,
    ModelResponse,
    ModelSettings,
    OtherPart,
    RetryPromptPart,
    SourcePart,
    StreamEvent,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
    given,
)
from llmcli.models import claude
from llmcli.models import converse_blocks as converse
from llmcli.models.event_builder import Reply
from llmcli.models.http.aws_event_stream import Frame, frames
from llmcli.models.http.backend import in_thread
from llmcli.models.http.bounded import decoded
from llmcli.models.http.http_model import HTTPModel, checked_region
from llmcli.models.http.network_errors import network_errors
from llmcli.models.http.provider_errors import provider_error
from llmcli.models.http.sse import BODY, Event, events
from llmcli.models.turns import (
    WEB,
    answered,
    arguments,
    block_id,
    own_thoughts,
    result_text,
    schema_prompt,
    system_prompt,
)

_FINISH: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "tool_use": "tool_call",
    "malformed_tool_use": "tool_call",
    "malformed_model_output": "error",
}


class ConverseProtocol(HTTPModel):
    """A model behind Bedrock's Converse API."""

    signs = True

    def url(self) -> str:
        """See `HTTPModel.url`."""
        address = self.address
        if "{region}" in address:
            address = address.replace("{region}", self._region())
        return f"{address}/model/{quote(self.model, safe='')}/converse-stream"

    def authorization(self, url: str, content: bytes) -> Mapping[str, str]:
        """See `HTTPModel.authorization`: the bearer token, or else a signature (Signature Version 4)."""
        if self.key:
            return {"Authorization": f"Bearer {self.key}"}
        if self.endpoint.client is not None:  # it signs by itself
            return {}
        region = self._region()
        credentials = self._credentials(region)
        if not credentials:
            raise SettingsError(
                f"{self.id}: no AWS credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set",
                hint="export them, or AWS_PROFILE, or AWS_BEARER_TOKEN_BEDROCK",
                kind="credentials",
            )
        request = AWSRequest("POST", url, data=content, headers={"Content-Type": "application/json"})
        SigV4Auth(credentials, "bedrock", region).add_auth(request)
        return dict(request.headers)

    def _region(self) -> str:
        """botocore ignores AWS_REGION, which AWS's other tools use."""
        environ = self.endpoint.environ
        region = self.cloud.region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
        if not region and self.endpoint.is_process:
            from botocore.session import Session

            with _aws_errors(self.id):
                region = Session().get_config_variable("region")
        if not region:
            hint = "give --region, or set AWS_REGION, or a profile's region"
            raise SettingsError(f"{self.id}: no AWS region", hint=hint)
        return checked_region(self.id, region)

    def _credentials(self, region: str) -> Any:
        """Keys from the variables, else botocore's chain of profiles, single sign-on and roles; None if there are none.

        The chain runs in a thread that Ctrl-C can leave, and only with the variables of the process.
        """
        get = self.endpoint.environ.get
        if (access := get("AWS_ACCESS_KEY_ID")) and (secret := get("AWS_SECRET_ACCESS_KEY")):
            from botocore.credentials import ReadOnlyCredentials

            found = ReadOnlyCredentials(access, secret, get("AWS_SESSION_TOKEN") or get("AWS_SECURITY_TOKEN"))
        elif self.endpoint.is_process:
            with _aws_errors(self.id):
                found = in_thread(partial(self._chain, region)).result()
        else:
            return None
        if found:
            self._granted |= frozenset(filter(None, (found.secret_key, found.token)))
        return found

    def _chain(self, region: str) -> Any:
        found = self._session(region).get_credentials()
        return found.get_frozen_credentials() if found else None

    def _session(self, region: str) -> Any:
        """A session whose own calls, for roles and single sign-on, are made once and wait as long as we do."""
        from botocore.config import Config
        from botocore.session import Session

        session = Session()
        network = self.endpoint.network
        bundle = network.ca_file or ssl.get_default_verify_paths().cafile  # else it trusts a list of its own
        if bundle and (network.ca_file or not session.get_config_variable("ca_bundle")):
            network.certificates()
            session.set_config_variable("ca_bundle", os.path.expanduser(bundle))
        proxy = network.proxy_to(f"https://sts.{region}.amazonaws.com")
        # botocore follows HTTP_PROXY, HTTPS_PROXY and NO_PROXY by itself, but knows no other.
        given = bool(network.proxy or (proxy and proxy.source.lower() == "all_proxy"))
        session.set_default_client_config(
            Config(
                connect_timeout=10,
                read_timeout=self.seconds,
                retries={"total_max_attempts": 1},
                proxies={scheme: proxy.url for scheme in ("http", "https") if proxy} if given else None,
            )
        )
        session.set_config_variable("region", region)
        return session

    def refused(self, settings: ModelSettings) -> Mapping[str, str]:
        """See `ProtocolModel.refused`."""
        fields = {"seed": settings.seed, "user_id": settings.user_id, "top_k": settings.top_k}
        found = dict.fromkeys(given(fields), "the Converse API has no field for it")
        return found | ({"web": f"the Converse API has no field for it; {WEB}"} if settings.web else {})

    def body(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> dict[str, Any]:
        """See `ProtocolModel.body`."""
        body: dict[str, Any] = {
            "messages": [  # turns must alternate: successive messages of one role become blocks of one turn
                {"role": role, "content": [block for _, blocks in row for block in blocks]}
                for role, row in groupby(self._turns(messages), itemgetter(0))
            ]
        }
        documents = [block["document"] for turn in body["messages"] for block in turn["content"] if "document" in block]
        for number, document in enumerate(documents, 1):  # no two may have one name
            document["name"] += f" {number}"
        system = [system_prompt(messages)]
        by_field = "claude" in self.model and claude.takes_schema(self.model)
        if settings.schema is not None:
            if by_field:
                body["outputConfig"] = {"textFormat": converse.text_format(settings.schema, settings.schema_name)}
            else:
                system.append(schema_prompt(settings.schema))
        if told := "\n\n".join(filter(None, system)):
            body["system"] = [{"text": told}]
        if config := converse.tool_config(messages, settings):
            body["toolConfig"] = config
        inference = {
            "maxTokens": settings.max_tokens,
            "temperature": settings.temperature,
            "topP": settings.top_p,
            "stopSequences": list(settings.stop) or None,
        }
        if settings.effort:
            body["additionalModelRequestFields"] = more = self._effort(settings)
            if "budget_tokens" in more.get("thinking", {}):  # the budget is a part of this
                inference["maxTokens"] = settings.max_tokens or claude.most_tokens(self.model)
        if asked := given(inference):
            body["inferenceConfig"] = asked
        return body

    def _turns(self, messages: Sequence[ModelMessage]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """The history as roles and blocks; system prompts stand apart."""
        for message in answered(messages):
            if isinstance(message, ModelResponse):
                if blocks := self._reply_blocks(message):
                    yield "assistant", blocks
                continue
            for part in message.parts:
                if isinstance(part, UserPromptPart):
                    yield "user", self.blocks(self.content(part))
                elif isinstance(part, RetryPromptPart) and part.tool_name is None:
                    yield "user", [{"text": result_text(part)}]
                elif isinstance(part, ToolReturnPart | RetryPromptPart):
                    yield "user", [{"toolResult": converse.tool_result(part)}]
                elif not isinstance(part, SystemPromptPart | OtherPart):
                    assert_never(part)

    def _reply_blocks(self, message: ModelResponse) -> list[dict[str, Any]]:
        """A reply, with the reasoning that has Bedrock's own signature."""
        own = own_thoughts(message, self.vendors())
        blocks: list[dict[str, Any]] = []
        for part in message.parts:
            if isinstance(part, ThinkingPart):
                if part in own and part.signature:
                    blocks.append({"reasoningContent": converse.reasoning_block(part)})
            elif isinstance(part, TextPart):
                if part.content.strip():
                    blocks.append({"text": part.content})
            elif isinstance(part, ToolCallPart):
                call = {"toolUseId": block_id(part.tool_call_id), "name": part.tool_name, "input": arguments(part)}
                blocks.append({"toolUse": call})
            elif not isinstance(part, SourcePart | OtherPart):
                assert_never(part)
        return blocks if any("reasoningContent" not in block for block in blocks) else []

    def attached(self, file: Attachment) -> dict[str, Any] | None:
        """See `ProtocolModel.attached`: nothing by its address; a document's name is short, and has few letters."""
        kind, _, form = file.media_type.partition("/")
        if file.url or kind == "audio":
            return None
        held = {"format": form, "source": {"bytes": file.data}}
        if kind == "image":
            return {"image": held}
        name = re.sub(r"[^A-Za-z0-9()\[\]-]+", " ", file.name)[:190].strip()
        return {"document": {"name": name or "document", **held}}

    def said(self, text: str) -> dict[str, Any]:
        """See `ProtocolModel.said`."""
        return {"text": text}

    def _effort(self, settings: ModelSettings) -> dict[str, Any]:
        """Converse passes what is model-specific through; each family has its own words for it."""
        effort = settings.effort or "none"
        if "claude" in self.model:
            return claude.thinking(self.model, effort, settings.max_tokens or claude.most_tokens(self.model))
        if "nova" in self.model:
            if effort == "none":
                return {"reasoningConfig": {"type": "disabled"}}
            level = {"minimal": "low", "xhigh": "high", "max": "high"}.get(effort, effort)
            return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": level}}
        return {"reasoning_effort": effort}

    def decode(self, response: httpx2.Response) -> Iterator[Event]:
        """See `ProtocolModel.decode`: frames of application/vnd.amazon.eventstream, or a JSON document.

        As everywhere the first byte decides: a frame begins with the high byte of its length, which is 0.
        """
        chunks = decoded(response)
        with network_errors(self.id, response.request):
            head = next(filter(None, chunks), b"")
        if head[:1] != b"\0":
            yield from events(self.id, response, chain([head], chunks))
            return
        try:
            with network_errors(self.id, response.request):
                yield from map(_event, frames(chain([head], chunks)))
        except (ParserError, struct.error, ValueError, RecursionError) as error:
            raise NetworkError(f"{self.id}: a broken frame: {error}", kind="stream") from error

    def read(self, events: Iterable[Event], reply: Reply) -> Iterator[StreamEvent]:
        """See `ProtocolModel.read`."""
        signatures: list[str] = []  # pieces of the signature of the open block
        for name, data in events:
            if name.endswith("Exception") or name == "error" or data.get("error"):  # the last is a gateway's
                raise provider_error(self.id, data.get("originalStatusCode"), {"code": name, **data}, secret=self.key)
            yield from reply.start()
            index = str(data.get("contentBlockIndex"))
            if name == "contentBlockDelta":
                yield from converse.content_block(data["delta"], index, signatures, reply)
                continue
            if name == BODY:
                yield from converse.whole_document(self.id, data, reply)
            elif name == "contentBlockStart":
                start = data.get("start") or {}
                if "toolUse" in start:
                    converse.tool_use(start["toolUse"], index, reply)
                if start:
                    reply.part()
                if "image" in start:
                    yield from reply.file("image")
            elif name == "contentBlockStop":
                yield from converse.signature_end(signatures, reply)
                yield from reply.call_end(index)
            if told := data.get("usage"):
                yield from reply.usage(partial(converse.usage_of, told))
            if word := data.get("stopReason"):
                reply.finished(_FINISH, word)


def _event(frame: Frame) -> Event:
    """The name and the payload of a frame; an error of the connection says all in headers."""
    headers, payload = frame
    if headers.get(":message-type") == "error":
        return "error", {"code": headers.get(":error-code"), "message": headers.get(":error-message")}
    data = json.loads(payload.decode() or "{}")  # as text: of bytes it would have to find out what they are
    return str(headers.get(":exception-type") or headers.get(":event-type")), data


@contextmanager
def _aws_errors(who: str) -> Iterator[None]:
    """What goes wrong in the credential chain: profiles, files, commands, roles."""
    try:
        yield
    except (AWSConnectionError, HTTPClientError) as error:
        hint = "check your network, --proxy and HTTPS_PROXY, --ca-file and AWS_CA_BUNDLE"
        raise NetworkError(f"{who}: AWS credentials: {error}", hint=hint) from error
    except (BotoCoreError, ClientError, OSError, ValueError, KeyError) as error:
        raise SettingsError(f"{who}: AWS credentials: {error}", kind="credentials") from error
