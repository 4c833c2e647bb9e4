"""The table of providers: names, addresses, key variables, default models and differences of their APIs.

One row is one vendor; a vendor that speaks a known protocol needs nothing else. How a protocol is spoken stands in
`llmcli/models/`. Sources: the vendors' API documentation, and the recordings that `tests/test_recorded.py` replays.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from llmcli.usage import Usage

__all__ = [
    "PROVIDERS",
    "OwnPrice",
    "Provider",
]


@dataclass(slots=True)
class OwnPrice:
    """What a model costs by the settings file, in USD per million tokens."""

    input: float
    """Of the tokens of a request that no cache held."""
    output: float
    """Of the tokens of a reply."""
    cache_read: float | None = None
    """Of tokens that a cache held; None: as `input`."""
    cache_write: float | None = None
    """Of tokens that were written to a cache; None: as `input`."""
    context: int | None = None
    """The context window in tokens; None: not known."""

    def cost(self, usage: Usage) -> float | None:
        """USD for a usage; None where the provider did not count request and reply tokens."""
        if usage.request_tokens is None or usage.response_tokens is None:
            return None
        details = usage.details or {}
        read, written = details.get("cached_tokens") or 0, details.get("cache_write_tokens") or 0
        fresh = max(usage.request_tokens - read - written, 0)
        usd = fresh * self.input + usage.response_tokens * self.output
        usd += read * (self.input if self.cache_read is None else self.cache_read)
        usd += written * (self.input if self.cache_write is None else self.cache_write)
        return usd / 1e6


@dataclass(slots=True)
class Provider:
    """One vendor, or one server of the user."""

    name: str
    """Canonical prefix."""
    protocol: str
    """How it is spoken to; a key of `llmcli.models.PROTOCOLS`."""
    base_url: str = ""
    """The vendor's own base URL; `{region}` in it is filled in later."""
    key_env: tuple[str, ...] = ()
    """Variables that may hold the key, best first; none: no key is needed."""
    aliases: tuple[str, ...] = ()
    """Other prefixes."""
    models: tuple[str, ...] = ()
    """A short list for completion and hints; its first is the default."""
    price_id: str | None = None
    """The vendor's name in price lists, where it is another."""
    base_url_env: tuple[str, ...] = ()
    """The vendor's own variables for the base URL."""
    host_env: str | None = None
    """The vendor's own variable for a host or a root address."""
    home_protocol: str | None = None
    """The protocol at the vendor's own address, where it differs."""
    key_optional: bool = False
    """A key is used where there is one."""
    compatible: bool = False
    """Stands for any server of its protocol: elsewhere it needs no key, and gets none of the vendor's headers."""
    max_tokens_field: str = "max_tokens"
    """Field of the request body for the longest reply."""
    seed_field: str = "seed"
    """Field of the request body for the seed."""
    effort_field: str = "reasoning_effort"
    """Field of the request body for the effort; a dot nests."""
    user_field: str | None = "user"
    """Field of the request body for the end user; None: the API has none."""
    top_k_field: str | None = None
    """Field of the request body for `top_k`; None: the API has none."""
    schema_mode: Literal["json_schema", "json_object", "none"] = "json_schema"
    """What the provider does with a JSON Schema: enforces it, enforces JSON only, or neither."""
    call_id_length: int | None = None
    """The length of a tool call's id, in letters and digits, where no other is taken."""
    web: Literal["tool", "plugin", "always"] | None = None
    """How the provider's own web search is switched on; None: it has none."""
    stream_usage: bool = True
    """Usage in streams must be requested."""
    env_headers: Mapping[str, str] = field(default_factory=dict)
    """Header name: variable with its value."""
    custom_headers_env: str | None = None
    """A variable with lines of `Name: value`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of every request."""
    key_command: str | None = None
    """A command that prints the key."""
    start_hint: str | None = None
    """How to start the server, for servers that the user starts."""
    deployments: bool = False
    """Azure's addresses and key header."""
    other_login: str | None = None
    """Another way to log in than a key."""
    login_env: tuple[str, ...] = ()
    """Variables that show that the other login is available."""
    settings_url: str = ""
    """The base URL that the settings file gives it."""
    prices: Mapping[str, OwnPrice] = field(default_factory=dict)
    """Prices that the settings file gives, by model; they go before the price list."""
    proxy: tuple[str, str] | None = None
    """The proxy to use, and the option or setting that named it; None: HTTPS_PROXY and its like."""
    ca_file: tuple[str, str] | None = None
    """A file of certificates to trust in addition to the system's, and the option or setting that named it."""
    client_cert: tuple[str, str] | None = None
    """A PEM file of the certificate to show to the server, and the setting that named it."""
    client_key: tuple[str, str] | None = None
    """A PEM file of its private key, where that is another file, and the setting that named it."""

    @property
    def names(self) -> tuple[str, ...]:
        """The canonical prefix, then the aliases."""
        return (self.name, *self.aliases)

    @property
    def address_variable(self) -> str:
        """The variable of ours that replaces the address."""
        return f"LLMCLI_{self.name.upper().replace('-', '_')}_BASE_URL"

    @property
    def offline(self) -> bool:
        """Whether it is no vendor at all: the test models, and model files on this machine."""
        return self.protocol in ("test", "local", "replay")

    @property
    def is_free(self) -> bool:
        """Whether requests are free: the offline test provider or a local server."""
        return self.offline or self.start_hint is not None


_OPENAI = Provider(
    "openai",
    "openai",
    "https://api.openai.com/v1",
    ("OPENAI_API_KEY",),
    models=("gpt-6-luna", "gpt-6-sol", "gpt-6-astra", "gpt-6.1-sol", "gpt-6.1-terra"),
    base_url_env=("OPENAI_BASE_URL",),
    home_protocol="openai-responses",
    web="tool",
    compatible=True,
    max_tokens_field="max_completion_tokens",
    env_headers={"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"},
    custom_headers_env="OPENAI_CUSTOM_HEADERS",
)
_ANTHROPIC = Provider(
    "anthropic",
    "anthropic",
    "https://api.anthropic.com",
    ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
    models=("claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5", "claude-fable-5-2", "claude-mythos-5-2"),
    base_url_env=("ANTHROPIC_BASE_URL",),
    custom_headers_env="ANTHROPIC_CUSTOM_HEADERS",
)
_OLLAMA = Provider(
    "ollama",
    "openai",
    "http://localhost:11434/v1",
    ("OLLAMA_API_KEY",),
    models=("llama3.2", "qwen3", "gpt-oss:20b"),
    base_url_env=("OLLAMA_BASE_URL",),
    host_env="OLLAMA_HOST",
    key_optional=True,
    start_hint="start it with `ollama serve`, and fetch the model with `ollama pull {model}`",
)
_OPENROUTER = Provider(
    "openrouter",
    "openai",
    "https://openrouter.ai/api/v1",
    ("OPENROUTER_API_KEY",),
    models=("openai/gpt-6-luna", "anthropic/claude-haiku-5.5", "~openai/gpt-latest", "~x-ai/grok-latest"),
    effort_field="reasoning.effort",
    top_k_field="top_k",
    web="plugin",
    env_headers={"HTTP-Referer": "OPENROUTER_APP_URL", "X-Title": "OPENROUTER_APP_TITLE"},
)
# It sends usage unasked, and refuses fields that it does not know (docs.mistral.ai, recordings of 2026).
_MISTRAL = Provider(
    "mistral",
    "openai",
    "https://api.mistral.ai/v1",
    ("MISTRAL_API_KEY",),
    models=("mistral-small-latest", "mistral-medium-latest", "mistral-large-latest"),
    seed_field="random_seed",
    call_id_length=9,
    user_field=None,
    stream_usage=False,
)
_GROQ = Provider(
    "groq",
    "openai",
    "https://api.groq.com/openai/v1",
    ("GROQ_API_KEY",),
    models=("openai/gpt-oss-20b", "openai/gpt-oss-120b", "qwen/qwen3.8-27b", "groq/compound"),
    host_env="GROQ_BASE_URL",
)


def _chat(name: str, address: str, keys: tuple[str, ...], models: tuple[str, ...] = (), **more: object) -> Provider:
    """A row of a vendor that speaks plain Chat Completions."""
    return replace(Provider(name, "openai", address, keys, models=models), **more)  # type: ignore[arg-type]  # fields by name


_AZURE = Provider(
    "azure",
    "openai",
    "",
    ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN"),
    base_url_env=("AZURE_OPENAI_ENDPOINT",),
    max_tokens_field="max_completion_tokens",
    deployments=True,
)
_GEMINI = Provider(
    "google-gla",
    "gemini",
    "https://generativelanguage.googleapis.com",
    ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    ("google", "gemini"),
    ("gemini-3.8-flash", "gemini-3.5-flash-lite", "gemini-4-argon", "gemini-4-carbon"),
    price_id="google",
)
_VERTEX = Provider(
    "google-vertex",
    "vertex",
    "https://{region}-aiplatform.googleapis.com",
    (),
    ("google-cloud", "vertexai", "vertex"),
    ("gemini-3.8-flash", "gemini-3.5-flash-lite"),
    price_id="google",
    other_login="Google application default credentials, or --service-account",
)
_BEDROCK = Provider(
    "bedrock",
    "bedrock",
    "https://bedrock-runtime.{region}.amazonaws.com",
    ("AWS_BEARER_TOKEN_BEDROCK",),
    models=("us.amazon.nova-2-lite-v1:0", "global.anthropic.claude-haiku-5-5"),
    price_id="aws",
    base_url_env=("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL"),
    key_optional=True,
    other_login="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role",
    login_env=("AWS_ACCESS_KEY_ID",),
)
_COHERE = Provider(
    "cohere",
    "cohere",
    "https://api.cohere.com",
    ("CO_API_KEY",),
    models=("command-a-plus-05-2026", "command-a-03-2025"),
    base_url_env=("CO_BASE_URL",),
)
# Where the vendor recommends Responses, one line more than a Chat Completions row: the protocol.
_META = Provider("meta", "openai-responses", "https://api.meta.ai/v1", ("META_API_KEY",), models=("muse-spark-1.3",))
# Model files on this machine; chat templates read the effort, where they know one.
_LOCAL = Provider(
    "local", "local", models=("smollm2",), user_field=None, effort_field="chat_template_kwargs.reasoning_effort"
)

REPLAY = Provider("replay", "replay")
"""The row of `replay:FILE`, which is a recording and no provider."""

_ROWS = (
    _OPENAI,
    _ANTHROPIC,
    _GEMINI,
    _VERTEX,
    _BEDROCK,
    _AZURE,
    _COHERE,
    _META,
    _LOCAL,
    Provider("test", "test", models=("test", "echo", "markdown", "thinking", "slow", "cut", "error-429")),
    _chat(
        "alibaba",
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        ("ALIBABA_API_KEY", "DASHSCOPE_API_KEY"),
        schema_mode="json_object",
        top_k_field="top_k",
    ),
    _chat("cerebras", "https://api.cerebras.ai/v1", ("CEREBRAS_API_KEY",), ("gpt-oss-120b",)),
    _chat("crusoe", "https://api.inference.crusoecloud.com/v1", ("CRUSOE_API_KEY",)),
    _chat(
        "deepseek",
        "https://api.deepseek.com",
        ("DEEPSEEK_API_KEY",),
        ("deepseek-flash", "deepseek-v4-pro"),
        schema_mode="json_object",
    ),
    _chat(
        "fireworks",
        "https://api.fireworks.ai/inference/v1",
        ("FIREWORKS_API_KEY",),
        ("accounts/fireworks/models/minimax-m3", "accounts/fireworks/models/qwen3p8-max"),
        top_k_field="top_k",
    ),
    _GROQ,
    _chat("heroku", "https://us.inference.heroku.com/v1", ("HEROKU_INFERENCE_KEY",)),
    _chat("huggingface", "https://router.huggingface.co/v1", ("HF_TOKEN",), ("openai/gpt-oss-20b", "zai-org/GLM-5.3")),
    _chat("litellm", "", ("LITELLM_API_KEY",), base_url_env=("LITELLM_BASE_URL",), key_optional=True),
    _chat(
        "lmstudio",
        "http://localhost:1234/v1",
        ("LMSTUDIO_API_KEY",),
        key_optional=True,
        start_hint="start its server with `lms server start`",
        top_k_field="top_k",
    ),
    _MISTRAL,
    _chat(
        "moonshotai",
        "https://api.moonshot.ai/v1",
        ("MOONSHOTAI_API_KEY", "MOONSHOT_API_KEY"),
        ("kimi-k3", "kimi-k3.1-pro"),
    ),
    _chat("nebius", "https://api.tokenfactory.nebius.com/v1", ("NEBIUS_API_KEY",)),
    _chat(
        "novita",
        "https://api.novita.ai/openai/v1",
        ("NOVITA_API_KEY",),
        ("zai-org/glm-5.3-flash",),
        top_k_field="top_k",
    ),
    _OLLAMA,
    _OPENROUTER,
    _chat(
        "ovhcloud",
        "https://oai.endpoints.kepler.ai.cloud.ovh.net/v1",
        ("OVHCLOUD_API_KEY",),
        ("gpt-oss-20b",),
    ),
    Provider(
        "perplexity",
        "openai-responses",
        "https://api.perplexity.ai/v1",
        ("PERPLEXITY_API_KEY", "PPLX_API_KEY"),
        models=("perplexity/sonar", "perplexity/sonar-pro"),
        web="always",
    ),
    _chat("sambanova", "https://api.sambanova.ai/v1", ("SAMBANOVA_API_KEY",), top_k_field="top_k"),
    _chat(
        "together",
        "https://api.together.xyz/v1",
        ("TOGETHER_API_KEY",),
        ("zai-org/GLM-5.3-Flash", "zai-org/GLM-5.3"),
        top_k_field="top_k",
    ),
    _chat("vercel", "https://ai-gateway.vercel.sh/v1", ("VERCEL_AI_GATEWAY_API_KEY",), ("openai/gpt-6-luna",)),
    _chat(
        "vllm",
        "",
        ("VLLM_API_KEY",),
        base_url_env=("VLLM_BASE_URL",),
        key_optional=True,
        start_hint="start it with `vllm serve {model}`",
        top_k_field="top_k",
    ),
    Provider(
        "xai",
        "openai-responses",
        "https://api.x.ai/v1",
        ("XAI_API_KEY",),
        ("grok",),
        ("grok-4.7", "grok-4.3"),
        price_id="x-ai",
        web="tool",
    ),
    _chat(
        "zai", "https://api.z.ai/api/paas/v4", ("ZAI_API_KEY",), ("glm-5.3-flash", "glm-5.3"), schema_mode="json_object"
    ),
)

PROVIDERS: Mapping[str, Provider] = {row.name: row for row in _ROWS}
