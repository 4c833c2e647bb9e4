"""llmcli: talk to many LLM providers from the command line. Public names are imported on demand."""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "Agent": "llmcli.agent",
    "AgentInfo": "llmcli.testing",
    "AnthropicModel": "llmcli.python_models",
    "AnthropicProvider": "llmcli.python_models",
    "Attachment": "llmcli.messages",
    "AuthenticationError": "llmcli.errors",
    "AzureProvider": "llmcli.python_models",
    "BedrockConverseModel": "llmcli.python_models",
    "BedrockProvider": "llmcli.python_models",
    "Budget": "llmcli.budget",
    "CohereModel": "llmcli.python_models",
    "CohereProvider": "llmcli.python_models",
    "Conversation": "llmcli.conversation",
    "DeepSeekProvider": "llmcli.python_models",
    "FallbackExceptionGroup": "llmcli.errors",
    "FallbackModel": "llmcli.models.fallback",
    "FunctionModel": "llmcli.testing",
    "GeminiModel": "llmcli.python_models",
    "GoogleGLAProvider": "llmcli.python_models",
    "GoogleVertexProvider": "llmcli.python_models",
    "GroqModel": "llmcli.python_models",
    "GroqProvider": "llmcli.python_models",
    "IncompleteReply": "llmcli.errors",
    "MistralModel": "llmcli.python_models",
    "MistralProvider": "llmcli.python_models",
    "ModelHTTPError": "llmcli.errors",
    "ModelMessage": "llmcli.messages",
    "ModelProvider": "llmcli.python_models",
    "NetworkError": "llmcli.errors",
    "OpenAIModel": "llmcli.python_models",
    "OpenAIProvider": "llmcli.python_models",
    "OpenAIResponsesModel": "llmcli.python_models",
    "OverloadedError": "llmcli.errors",
    "ReplyMismatch": "llmcli.errors",
    "ReplyStart": "llmcli.messages",
    "RetryPromptPart": "llmcli.messages",
    "RunResult": "llmcli.agent",
    "SettingsError": "llmcli.errors",
    "Shape": "llmcli.schema",
    "StreamEnd": "llmcli.messages",
    "StreamEvent": "llmcli.messages",
    "SystemPromptPart": "llmcli.messages",
    "TextDelta": "llmcli.messages",
    "TextPart": "llmcli.messages",
    "ThinkingPart": "llmcli.messages",
    "ToolCallPart": "llmcli.messages",
    "ToolReturnPart": "llmcli.messages",
    "UsageLimitExceeded": "llmcli.errors",
    "UserError": "llmcli.errors",
    "UserPromptPart": "llmcli.messages",
    "allow_model_requests": "llmcli.models",
    "infer_model": "llmcli.python_models",
    "LlmcliError": "llmcli.errors",
    "Model": "llmcli.models",
    "ModelRequest": "llmcli.messages",
    "ModelResponse": "llmcli.messages",
    "ModelSettings": "llmcli.messages",
    "ProviderError": "llmcli.errors",
    "TestModel": "llmcli.testing",
    "Usage": "llmcli.usage",
    "UsageLimits": "llmcli.usage",
    "build_model": "llmcli.models",
    "dump_messages": "llmcli.history",
    "load_messages": "llmcli.history",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> object:
    """Import a public name from its home module the first time somebody asks for it (PEP 562)."""
    if name in _HOMES:
        return vars(import_module(_HOMES[name]))[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
