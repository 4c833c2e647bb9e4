"""llmcli: talk to many LLM providers from the command line. Public names are imported on demand."""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "Conversation": "llmcli.conversation",
    "FallbackModel": "llmcli.models.fallback",
    "Budget": "llmcli.budget",
    "LlmcliError": "llmcli.errors",
    "Model": "llmcli.models",
    "ModelRequest": "llmcli.messages",
    "ModelResponse": "llmcli.messages",
    "ModelSettings": "llmcli.messages",
    "ProviderError": "llmcli.errors",
    "TestModel": "llmcli.models.test",
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
