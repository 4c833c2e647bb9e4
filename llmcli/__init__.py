"""llmcli: send prompts to many LLM providers, from the command line or from Python; the public names of the package."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for type checkers and editors: the same names, with their types
    from llmcli.agent import Agent as Agent
    from llmcli.budget import Budget as Budget
    from llmcli.conversation import Conversation as Conversation
    from llmcli.errors import AuthenticationError as AuthenticationError
    from llmcli.errors import FallbackExceptionGroup as FallbackExceptionGroup
    from llmcli.errors import IncompleteReply as IncompleteReply
    from llmcli.errors import LlmcliError as LlmcliError
    from llmcli.errors import ModelHTTPError as ModelHTTPError
    from llmcli.errors import NetworkError as NetworkError
    from llmcli.errors import OverloadedError as OverloadedError
    from llmcli.errors import ProviderError as ProviderError
    from llmcli.errors import ReplyMismatch as ReplyMismatch
    from llmcli.errors import SettingsError as SettingsError
    from llmcli.errors import UsageLimitExceeded as UsageLimitExceeded
    from llmcli.errors import UserError as UserError
    from llmcli.history import dump_messages as dump_messages
    from llmcli.history import load_messages as load_messages
    from llmcli.messages import Attachment as Attachment
    from llmcli.messages import ModelMessage as ModelMessage
    from llmcli.messages import ModelRequest as ModelRequest
    from llmcli.messages import ModelResponse as ModelResponse
    from llmcli.messages import ModelSettings as ModelSettings
    from llmcli.messages import ReplyStart as ReplyStart
    from llmcli.messages import RetryPromptPart as RetryPromptPart
    from llmcli.messages import StreamEnd as StreamEnd
    from llmcli.messages import StreamEvent as StreamEvent
    from llmcli.messages import SystemPromptPart as SystemPromptPart
    from llmcli.messages import TextDelta as TextDelta
    from llmcli.messages import TextPart as TextPart
    from llmcli.messages import ThinkingPart as ThinkingPart
    from llmcli.messages import ToolCallPart as ToolCallPart
    from llmcli.messages import ToolReturnPart as ToolReturnPart
    from llmcli.messages import UserPromptPart as UserPromptPart
    from llmcli.models import Model as Model
    from llmcli.models import allow_model_requests as allow_model_requests
    from llmcli.models import build_model as build_model
    from llmcli.models.fallback import FallbackModel as FallbackModel
    from llmcli.python_models import AnthropicModel as AnthropicModel
    from llmcli.python_models import AnthropicProvider as AnthropicProvider
    from llmcli.python_models import AzureProvider as AzureProvider
    from llmcli.python_models import BedrockConverseModel as BedrockConverseModel
    from llmcli.python_models import BedrockProvider as BedrockProvider
    from llmcli.python_models import CohereModel as CohereModel
    from llmcli.python_models import CohereProvider as CohereProvider
    from llmcli.python_models import DeepSeekProvider as DeepSeekProvider
    from llmcli.python_models import GeminiModel as GeminiModel
    from llmcli.python_models import GoogleGLAProvider as GoogleGLAProvider
    from llmcli.python_models import GoogleVertexProvider as GoogleVertexProvider
    from llmcli.python_models import GroqModel as GroqModel
    from llmcli.python_models import GroqProvider as GroqProvider
    from llmcli.python_models import MistralModel as MistralModel
    from llmcli.python_models import MistralProvider as MistralProvider
    from llmcli.python_models import ModelProvider as ModelProvider
    from llmcli.python_models import OpenAIModel as OpenAIModel
    from llmcli.python_models import OpenAIProvider as OpenAIProvider
    from llmcli.python_models import OpenAIResponsesModel as OpenAIResponsesModel
    from llmcli.python_models import infer_model as infer_model
    from llmcli.schema import Shape as Shape
    from llmcli.streamed import RunResult as RunResult
    from llmcli.testing import AgentInfo as AgentInfo
    from llmcli.testing import FunctionModel as FunctionModel
    from llmcli.testing import TestModel as TestModel
    from llmcli.usage import Usage as Usage
    from llmcli.usage import UsageLimits as UsageLimits

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
    "RunResult": "llmcli.streamed",
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
    """Import a public name from its home module at its first use (PEP 562)."""
    if name in _HOMES:
        return vars(import_module(_HOMES[name]))[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
