"""The Python face: Agent, results, streams, clients of the caller, and models for tests."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import boto3
import httpx
import httpx2
import openai as openai_sdk
import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

import llmcli
from llmcli import (
    Agent,
    AgentInfo,
    AnthropicModel,
    AnthropicProvider,
    BedrockConverseModel,
    BedrockProvider,
    DeepSeekProvider,
    FallbackModel,
    FunctionModel,
    GeminiModel,
    GoogleGLAProvider,
    GoogleVertexProvider,
    IncompleteReply,
    Model,
    ModelHTTPError,
    ModelResponse,
    NetworkError,
    OpenAIModel,
    OpenAIProvider,
    OpenAIResponsesModel,
    ReplyMismatch,
    SettingsError,
    StreamEnd,
    StreamEvent,
    TestModel,
    TextDelta,
    TextPart,
    Usage,
    UsageLimitExceeded,
    UsageLimits,
    UserError,
    allow_model_requests,
    infer_model,
    load_messages,
)
from tests.fake_provider import Answer, FakeProvider, aws_frames, chat_reply, named_sse

USAGE = {"prompt_tokens": 57, "completion_tokens": 8, "total_tokens": 65}


class CityLocation(BaseModel):
    city: str
    country: str


LONDON = '{"city": "London", "country": "United Kingdom"}'


def served(provider: FakeProvider) -> Model:
    return OpenAIModel("llama3.2", provider=OpenAIProvider(base_url=f"{provider.url}/v1"))


def test_typed_result_prints_as_documented(provider: FakeProvider) -> None:
    provider.answer(chat_reply(LONDON, usage=USAGE))
    agent = Agent(served(provider), result_type=CityLocation)
    result = agent.run_sync("Where were the olympics held in 2012?")
    assert str(result.data) == "city='London' country='United Kingdom'"
    assert result.output is result.data
    expected = "Usage(requests=1, request_tokens=57, response_tokens=8, total_tokens=65, details=None)"
    assert repr(result.usage()) == expected
    assert "authorization" not in provider.requests[0].headers


def test_messages_print_as_documented(provider: FakeProvider) -> None:
    provider.answer(chat_reply("Paris"))
    result = Agent(served(provider), system_prompt="Be brief.").run_sync("Capital of France?")
    assert result.data == "Paris"
    request, response = result.all_messages()
    assert repr(request).startswith(
        "ModelRequest(parts=[SystemPromptPart(content='Be brief.', part_kind='system-prompt'), "
        "UserPromptPart(content='Capital of France?', timestamp=datetime.datetime("
    )
    assert repr(request).endswith("part_kind='user-prompt')], kind='request')")
    begin = "ModelResponse(parts=[TextPart(content='Paris', part_kind='text')], model_name='fake-1', timestamp="
    assert repr(response).startswith(begin)
    assert "kind='response'" in repr(response)
    assert load_messages(result.all_messages_json()) == result.all_messages() == result.new_messages()


def test_history_goes_on_with_another_model(provider: FakeProvider) -> None:
    provider.answer(chat_reply("Hello."))
    first = Agent(TestModel(), system_prompt="Be brief.").run_sync("Hi")
    second = Agent(served(provider), system_prompt="Other.").run_sync("Again", message_history=first.all_messages())
    assert [turn["content"] for turn in provider.requests[0].body["messages"]] == [
        *("Be brief.", "Hi", "success (no tool calls)", "Again")
    ]
    assert len(second.new_messages()) == 2
    assert second.usage().requests == 1
    assert b"Hello." in second.new_messages_json()


@dataclasses.dataclass
class Point:
    x: int
    y: int


class Named(TypedDict):
    name: str


@pytest.mark.parametrize(
    ("of", "text", "value"),
    [
        (Point, '{"x": 1, "y": 2}', Point(1, 2)),
        (Named, '{"name": "a"}', {"name": "a"}),
        (list[int], '{"response": [1, 2]}', [1, 2]),
        (list[int], "[1, 2]", [1, 2]),
        (int, '{"response": 3}', 3),
        (bool, "true", True),
        (int | Point, '{"response": {"x": 1, "y": 2}}', Point(1, 2)),
        (str | Point, "plain words", "plain words"),
        (CityLocation, f"```json\n{LONDON}\n```", CityLocation(city="London", country="United Kingdom")),
        ({"type": "object", "required": ["a"]}, '{"a": 1}', {"a": 1}),
    ],
)
def test_result_types(of: Any, text: str, value: Any) -> None:
    assert Agent(TestModel(custom_result_text=text), result_type=of).run_sync("x").data == value


def test_test_model_fits_any_type() -> None:
    for of in (Point, Named, list[int], int, CityLocation, str, dict[str, int], int | Point, tuple[int, str]):
        Agent(TestModel(), result_type=of).run_sync("x")
    assert Agent(TestModel(custom_result_args=[4]), result_type=list[int]).run_sync("x").data == [4]
    assert Agent(TestModel()).run_sync("Hello").usage() == Usage(1, 51, 4, 55)


def test_mismatch_is_retried_with_the_fault() -> None:
    seen: list[str] = []

    def answer(messages: Sequence[Any], info: AgentInfo) -> str:
        seen.append(messages[-1].parts[-1].content)
        assert info.schema
        return LONDON if len(seen) == 2 else '{"city": 1}'

    result = Agent(FunctionModel(answer), result_type=CityLocation).run_sync("x")
    assert result.data.city == "London"
    assert result.usage().requests == 2
    assert "country" in seen[1]
    assert len(result.new_messages()) == 4
    with pytest.raises(ReplyMismatch, match="country"):
        Agent(TestModel(custom_result_text="{}"), result_type=CityLocation, retries=2).run_sync("x")


def test_incomplete_reply_raises(provider: FakeProvider) -> None:
    provider.answer(chat_reply("half", finish="length"))
    with pytest.raises(IncompleteReply):
        Agent(served(provider)).run_sync("x")


def test_streams_block_or_not() -> None:
    agent = Agent(TestModel(custom_result_text="one two three"))
    with agent.run_stream_sync("x") as run:
        assert list(run.stream_text(delta=True)) == ["one ", "two ", "three"]
        assert run.usage().total_tokens == 54
        assert run.data == "one two three"

    async def main() -> list[str]:
        async with agent.run_stream("x") as run:
            texts = [text async for text in run.stream_text()]
            assert await run.get_data() == run.data == "one two three"
            assert run.usage().requests == 1
            return texts

    assert asyncio.run(main()) == ["one ", "one two ", "one two three"]


def test_runs_in_an_event_loop() -> None:
    async def main() -> list[Any]:
        agent = Agent(TestModel(), result_type=int)
        return await asyncio.gather(*(agent.run("x") for _ in range(20)))

    assert [result.data for result in asyncio.run(main())] == [0] * 20


def test_error_comes_out_of_an_asynchronous_run(provider: FakeProvider) -> None:
    provider.answer_json({"error": {"message": "no"}}, 404)
    agent = Agent(served(provider))

    async def stream() -> None:
        async with agent.run_stream("x") as run:
            async for _ in run.stream_text():
                pass

    for work in (agent.run("x"), stream()):
        with pytest.raises(ModelHTTPError) as caught:
            asyncio.run(work)
        assert caught.value.status_code == 404


@pytest.mark.parametrize("streamed", [False, True])
def test_cancelling_ends_the_request_soon(provider: FakeProvider, streamed: bool) -> None:
    provider.answer(b'data: {"choices": [{"delta": {"content": "one"}}]}\n\n', stall=True)
    agent = Agent(served(provider))

    async def stream() -> None:
        async with agent.run_stream("x") as run:
            async for _ in run.stream_text():
                pass

    async def main() -> float:
        task = asyncio.create_task(stream() if streamed else agent.run("x"))
        await asyncio.to_thread(provider.sent.wait, 20)
        begun = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - begun

    assert asyncio.run(main()) < 2
    assert provider.left.wait(20)


def test_no_model_is_asked_where_requests_are_forbidden(provider: FakeProvider) -> None:
    provider.answer(chat_reply("x"))
    with allow_model_requests(False):
        with pytest.raises(RuntimeError, match="not allowed"):
            Agent(served(provider)).run_sync("x")
        assert Agent(TestModel()).run_sync("x").data
        assert not provider.requests
    assert Agent(served(provider)).run_sync("x").data == "x"


class Mine(Model):
    id = "mine:1"

    def stream(self, messages: Any, settings: Any) -> Iterator[StreamEvent]:  # type: ignore[override]
        yield TextDelta("hello")
        yield StreamEnd("stop")


def test_custom_model_has_one_method() -> None:
    result = Agent(Mine()).run_sync("x")
    assert result.data == "hello"
    assert result.usage().requests == 1


def test_function_models() -> None:
    def said(messages: Sequence[Any], info: AgentInfo) -> ModelResponse:
        return ModelResponse([TextPart(f"{len(messages)} {info.model_settings.temperature}")])

    async def later(messages: Sequence[Any], info: AgentInfo) -> str:
        await asyncio.sleep(0)
        return "later"

    async def pieces(messages: Sequence[Any], info: AgentInfo) -> Any:
        yield "a"
        yield "b"

    agent = Agent(FunctionModel(said), model_settings={"temperature": 0.5})
    assert agent.run_sync("x").data == "1 0.5"
    assert agent.run_sync("x", model_settings={"temperature": 1.0}).data == "1 1.0"
    assert Agent(FunctionModel(later)).run_sync("x").data == "later"
    assert list(Agent(FunctionModel(stream_function=pieces)).run_stream("x").stream_text(delta=True)) == ["a", "b"]
    assert FunctionModel(said, stream_function=pieces).id == "function:said:pieces"
    with pytest.raises(TypeError):
        FunctionModel()


def test_limits_and_shared_usage() -> None:
    agent = Agent(TestModel(custom_result_text="{}"), result_type=CityLocation, retries=5)
    with pytest.raises(ReplyMismatch):
        agent.run_sync("x", usage_limits=UsageLimits(request_limit=1))
    with pytest.raises(UsageLimitExceeded, match="request_limit of 0"):
        Agent(TestModel()).run_sync("x", usage_limits=UsageLimits(request_limit=0))
    with pytest.raises(UsageLimitExceeded, match="response_tokens_limit of 1"):
        Agent(TestModel()).run_sync("x", usage_limits=UsageLimits(response_tokens_limit=1))
    total = Usage()
    for _ in range(2):
        Agent(TestModel()).run_sync("Hello", usage=total)
    assert total == Usage(2, 102, 8, 110)
    with pytest.raises(UsageLimitExceeded):
        Agent(TestModel()).run_sync("Hello", usage=total, usage_limits=UsageLimits(request_limit=2))


def test_wrong_use() -> None:
    for wrong in ("nonsense", "nobody:x"):
        with pytest.raises(UserError):
            Agent(wrong)
    with pytest.raises(UserError, match="temprature"):
        Agent("test", model_settings={"temprature": 1})
    with pytest.raises(UserError):
        Agent("test", result_type=threading.Lock)
    with pytest.raises(UserError, match="no model"):
        Agent().run_sync("x")
    assert Agent().run_sync("x", model="test").data


def test_settings_reach_the_wire(provider: FakeProvider) -> None:
    provider.answer(chat_reply("x"))
    given = {"temperature": 0.0, "max_tokens": 100, "stop_sequences": ["a"], "presence_penalty": 1, "timeout": 5.0}
    Agent(served(provider), model_settings=given).run_sync("x")
    body = provider.requests[0].body
    assert (body["temperature"], body["stop"], body["presence_penalty"]) == (0.0, ["a"], 1)
    assert 100 in (body.get("max_tokens"), body.get("max_completion_tokens"))


def test_key_of_the_vendor_stays_at_home(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-home-0123456789")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-home")
    provider.answer(chat_reply("x"))
    Agent(served(provider)).run_sync("x")
    assert "home" not in str(provider.requests[0].headers)
    assert (
        infer_model(OpenAIModel("gpt-4o")).secrets
        == {"sk-home-0123456789"} | infer_model(OpenAIModel("gpt-4o")).secrets
    )


def test_models_by_class_touch_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI", "ANTHROPIC", "GEMINI", "GROQ", "MISTRAL", "DEEPSEEK"):
        monkeypatch.setenv(f"{name}_API_KEY", "key-0123456789")
    monkeypatch.setenv("CO_API_KEY", "key-0123456789")
    made = [
        OpenAIModel("gpt-4o"),
        OpenAIModel(model_name="gpt-4o", api_key="not-valid"),
        OpenAIResponsesModel("gpt-4o"),
        OpenAIModel("deepseek-chat", provider=DeepSeekProvider(api_key="k-0123456")),
        OpenAIModel("deepseek-chat", provider="deepseek"),
        AnthropicModel("claude-3-5-sonnet-latest"),
        GeminiModel("gemini-2.0-flash", provider="google-gla"),
        GeminiModel("gemini-2.0-flash", provider="google-vertex"),
        GeminiModel("gemini-2.0-flash", provider=GoogleVertexProvider(region="asia-east1")),
        GeminiModel("gemini-2.0-flash", provider=GoogleVertexProvider(service_account_file="/no/such/file.json")),
        llmcli.GroqModel("llama-3.3-70b-versatile"),
        llmcli.MistralModel("mistral-large-latest", api_key="k-0123456"),
        llmcli.CohereModel("command"),
        BedrockConverseModel("anthropic.claude-3-sonnet-20240229-v1:0"),
        BedrockConverseModel("m", provider=BedrockProvider(region_name="us-east-1")),
    ]
    assert [Agent(model=model).model for model in made] == made
    assert made[0].id == "openai:gpt-4o"
    assert type(made[0]).__name__ == "ChatProtocol"
    assert type(infer_model("openai:gpt-4o")).__name__ == "ResponsesProtocol"
    monkeypatch.delenv("DEEPSEEK_API_KEY")
    with pytest.raises(SettingsError, match="DEEPSEEK_API_KEY"):
        DeepSeekProvider()


class Counting(httpx2.HTTPTransport):
    count = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        type(self).count += 1
        return super().handle_request(request)


def clients() -> dict[str, Any]:
    return {
        "httpx": httpx.Client(headers={"x-mine": "1"}, trust_env=False),
        "httpx async": httpx.AsyncClient(headers={"x-mine": "1"}, timeout=30, trust_env=False),
        "httpx2": httpx2.Client(headers={"x-mine": "1"}, trust_env=False),
        "httpx2 async": httpx2.AsyncClient(headers={"x-mine": "1"}, timeout=30, trust_env=False),
    }


@pytest.mark.parametrize("kind", clients())
def test_requests_go_through_the_http_client_of_the_caller(provider: FakeProvider, kind: str) -> None:
    client = clients()[kind]
    provider.answers = [Answer((chat_reply("one", " two"),)), Answer((b"{}",), 404, "application/json")]
    found = OpenAIProvider(base_url=f"{provider.url}/v1", api_key="k-0123456789", http_client=client)
    agent = Agent(OpenAIModel("m", provider=found))
    assert agent.run_sync("x").data == "one two"
    assert provider.requests[0].headers["x-mine"] == "1"
    assert provider.requests[0].headers["authorization"] == "Bearer k-0123456789"
    with pytest.raises(ModelHTTPError) as caught:
        agent.run_sync("x")
    assert caught.value.status_code == 404
    provider.answers = [Answer(drop=True)]
    with pytest.raises(NetworkError):
        agent.run_sync("x", model_settings={"retries": 0})


@pytest.mark.parametrize("kind", ["httpx async", "httpx2 async"])
def test_cancelling_ends_the_request_of_an_async_client(provider: FakeProvider, kind: str) -> None:
    provider.answer(b'data: {"choices": [{"delta": {"content": "one"}}]}\n\n', stall=True)
    found = OpenAIProvider(base_url=f"{provider.url}/v1", http_client=clients()[kind])
    agent = Agent(OpenAIModel("m", provider=found))

    async def main() -> None:
        task = asyncio.create_task(agent.run("x"))
        await asyncio.to_thread(provider.sent.wait, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert provider.left.wait(20)


def sdk_clients(url: str) -> dict[str, Any]:
    more: dict[str, Any] = {"api_key": "k-0123456789", "default_headers": {"x-mine": "1"}}
    azure: dict[str, Any] = {"azure_endpoint": url, "api_version": "2024-07-01-preview", **more}
    return {
        "sync": openai_sdk.OpenAI(base_url=f"{url}/v1", organization="org-1", **more),
        "async": openai_sdk.AsyncOpenAI(base_url=f"{url}/v1", organization="org-1", **more),
        "azure": openai_sdk.AzureOpenAI(**azure),
        "async azure": openai_sdk.AsyncAzureOpenAI(**azure),
    }


@pytest.mark.parametrize("kind", ["sync", "async", "azure", "async azure"])
def test_requests_go_through_an_openai_client(provider: FakeProvider, kind: str) -> None:
    client = sdk_clients(provider.url)[kind]
    provider.answers = [Answer((chat_reply("one", " two"),)), Answer((b'{"error": {"message": "no"}}',), 401)]
    agent = Agent(OpenAIModel("gpt-4o", provider=OpenAIProvider(openai_client=client)))
    assert agent.run_sync("x").data == "one two"
    request = provider.requests[0]
    assert request.headers["x-mine"] == "1"
    assert request.headers["user-agent"].lower().startswith(("openai", "async", "azure"))
    if "azure" in kind:
        assert request.path == "/openai/deployments/gpt-4o/chat/completions?api-version=2024-07-01-preview"
        assert request.headers["api-key"] == "k-0123456789"
        assert "authorization" not in request.headers
    else:
        assert (request.path, request.headers["openai-organization"]) == ("/v1/chat/completions", "org-1")
        assert request.headers["authorization"] == "Bearer k-0123456789"
    with pytest.raises(ModelHTTPError) as caught:
        agent.run_sync("x")
    assert caught.value.status_code == 401
    assert len(provider.requests) == 2
    with pytest.raises(UserError):
        OpenAIProvider(openai_client=client, api_key="x")


@pytest.mark.parametrize("name", ["Anthropic", "AsyncAnthropic"])
def test_requests_go_through_an_anthropic_client(provider: FakeProvider, name: str) -> None:
    client = getattr(anthropic, name)(base_url=provider.url, api_key="k-0123456789", default_headers={"x-mine": "1"})
    start = {"type": "message_start", "message": {"model": "c", "usage": {"input_tokens": 1, "output_tokens": 1}}}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}
    provider.answer(named_sse(start, block, delta, end, {"type": "message_stop"}))
    agent = Agent(AnthropicModel("claude", provider=AnthropicProvider(anthropic_client=client)))
    assert agent.run_sync("x").data == "hi"
    assert provider.requests[0].headers["x-mine"] == "1"
    assert provider.requests[0].path == "/v1/messages"


def test_requests_go_through_a_bedrock_client(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    client = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=provider.url,
        aws_access_key_id="a",
        aws_secret_access_key="s",
    )
    frames = aws_frames(
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"delta": {"text": "hi"}, "contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}}),
    )
    provider.answer(frames, content_type="application/vnd.amazon.eventstream")
    provider.answer_json({"message": "no"}, 404, headers={"x-amzn-errortype": "ResourceNotFoundException"})
    agent = Agent(BedrockConverseModel("a.b:0", provider=BedrockProvider(bedrock_client=client)))
    result = agent.run_sync("x")
    assert (result.data, result.usage()) == ("hi", Usage(1, 1, 2, 3))
    assert "botocore" in provider.requests[0].headers["user-agent"].lower()
    with pytest.raises(ModelHTTPError) as caught:
        agent.run_sync("x")
    assert caught.value.status_code == 404


def test_keys_of_bedrock_as_arguments(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMCLI_BEDROCK_BASE_URL", provider.url)
    provider.answer_json({"message": "no"}, 404)
    found = BedrockProvider(region_name="us-west-2", aws_access_key_id="AKIDX", aws_secret_access_key="s")
    with pytest.raises(ModelHTTPError):
        Agent(BedrockConverseModel("m", provider=found)).run_sync("x")
    assert "AKIDX/" in provider.requests[0].headers["authorization"]
    assert "us-west-2" in provider.requests[0].headers["authorization"]


def test_fallback_moves_on_from_a_401(provider: FakeProvider) -> None:
    provider.answer_json({"error": {"message": "wrong key"}}, 401)
    provider.answer(chat_reply("Paris"))
    there = OpenAIProvider(base_url=f"{provider.url}/v1", api_key="not-valid")
    model = FallbackModel(OpenAIModel("gpt-4o", provider=there), OpenAIModel("second", provider=there))
    result = Agent(model).run_sync("x")
    assert (result.data, result.usage().requests) == ("Paris", 1)
    assert result.response.model_name == "fake-1"
    assert result.response.served_by == "openai:second"


def test_all_failures_come_as_a_group(provider: FakeProvider) -> None:
    provider.answer_json({"error": {"message": "no"}}, 500)
    there = OpenAIProvider(base_url=f"{provider.url}/v1")

    class Failing(Mine):
        def stream(self, messages: Any, settings: Any) -> Iterator[StreamEvent]:  # type: ignore[override]
            raise ModelHTTPError(503, "mine", {"a": 1})
            yield

    caught: list[ModelHTTPError] = []
    model = FallbackModel(OpenAIModel("m", provider=there), Failing())
    try:
        Agent(model, model_settings={"retries": 0}).run_sync("x")
    except* ModelHTTPError as group:
        caught += [error for error in group.exceptions if isinstance(error, ModelHTTPError)]
    assert [error.status_code for error in caught] == [500, 503]
    assert str(caught[1]) == "status_code: 503, model_name: mine, body: {'a': 1}"


def test_a_hundred_threads_at_once(provider: FakeProvider) -> None:
    provider.answer(chat_reply(LONDON))
    agent = Agent(served(provider), result_type=CityLocation)
    with ThreadPoolExecutor(100) as pool:
        found = list(pool.map(lambda at: agent.run_sync(f"{at}").data.city, range(100)))
    assert found == ["London"] * 100


def test_google_client_of_the_caller(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMCLI_GOOGLE_GLA_BASE_URL", provider.url)
    part = b'data: {"candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}]}\r\n\r\n'
    provider.answer(part)
    client = httpx.AsyncClient(timeout=30, headers={"x-mine": "1"}, trust_env=False)
    found = GoogleGLAProvider(api_key="k-0123456789", http_client=client)
    assert Agent(GeminiModel("gemini-2.0-flash", provider=found)).run_sync("x").data == "hi"
    assert provider.requests[0].headers["x-mine"] == "1"
