"""The options that talk to a model, each declared once."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import typer

from llmcli.cli.completion import complete_model
from llmcli.messages import Effort

# The sections of --help, in order, and their parameters; what is in none of them comes last.
SECTIONS = {
    "What is asked": ("prompt", "model", "system", "file", "attach"),
    "The reply": ("format", "json", "extract", "thinking", "usage", "stream", "theme", "color", "allow_incomplete"),
    "The model": ("effort", "temperature", "top_p", "max_tokens", "seed", "stop", "option", "user_id", "lenient"),
    "The way there": (
        *("api_key_file", "base_url", "proxy", "ca_file", "timeout", "retries", "region", "project"),
        "service_account",
    ),
    "Limits": (
        *("max_cost", "allow_unknown_cost", "request_limit", "request_tokens_limit", "response_tokens_limit"),
        "total_tokens_limit",
    ),
}

Prompt = Annotated[
    list[str] | None, typer.Argument(metavar="PROMPT", help="The prompt; - is stdin.", show_default=False)
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="PROVIDER:MODEL",
        help="Who answers; more with commas between are asked if it fails. Else LLMCLI_MODEL, the settings file, the "
        "first provider with a key.",
        autocompletion=complete_model,
    ),
]
System = Annotated[
    str | None, typer.Option("--system", "-s", metavar="TEXT", help="System prompt; @FILE reads it from a file.")
]
File = Annotated[
    list[str] | None,
    typer.Option("--file", "-f", metavar="PATH", help="A text file put before the prompt; - is stdin. Repeatable."),
]
Attach = Annotated[
    list[str] | None,
    typer.Option("--attach", "-a", metavar="PATH_OR_URL", help="An image, PDF or audio; - is stdin. Repeatable."),
]
Temperature = Annotated[float | None, typer.Option(min=0, metavar="NUMBER", help="Sampling temperature.")]
TopP = Annotated[float | None, typer.Option(min=0, max=1, metavar="NUMBER", help="Nucleus sampling.")]
MaxTokens = Annotated[int | None, typer.Option(min=1, metavar="NUMBER", help="Longest reply, in tokens.")]
Seed = Annotated[int | None, typer.Option(metavar="NUMBER", help="Seed for sampling.")]
Stop = Annotated[list[str] | None, typer.Option(metavar="TEXT", help="End the reply at this text. Repeatable.")]
Option = Annotated[
    list[str] | None,
    typer.Option(
        "--option", "-o", metavar="KEY=VALUE", help="Any further field of the request; VALUE is JSON, else text."
    ),
]
EffortOption = Annotated[
    Effort | None, typer.Option("--effort", metavar="LEVEL", help=f"How hard to think: {', '.join(get_args(Effort))}.")
]
Thinking = Annotated[
    bool | None,
    typer.Option("--thinking/--no-thinking", help="All reasoning on stderr, or none. Default: its end, on a terminal."),
]
Format = Annotated[
    Literal["auto", "text", "markdown", "json", "ndjson"] | None,
    typer.Option(
        "--format",
        metavar="FORM",
        help="The reply as text, markdown, json or ndjson. Default: auto, which is markdown on a terminal, else text.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Short for --format json.")]
Extract = Annotated[bool, typer.Option("--extract", "-x", help="Only the first fenced code block of the reply.")]
Usage = Annotated[
    bool | None,
    typer.Option("--usage/--no-usage", help="Tokens, cost, times on stderr. Default: if stderr is a terminal."),
]
BaseUrl = Annotated[
    str | None, typer.Option("--base-url", metavar="URL", help="The provider's address, for this call.")
]
ApiKeyFile = Annotated[
    str | None, typer.Option("--api-key-file", metavar="FILE", help="Read the key from a file; - is stdin.")
]
Proxy = Annotated[str | None, typer.Option(metavar="URL", help="The way out, or none. Else HTTPS_PROXY and its like.")]
CaFile = Annotated[str | None, typer.Option(metavar="FILE", help="PEM certificates to trust besides the system's.")]
Timeout = Annotated[
    float | None,
    typer.Option(min=0.001, max=1e6, metavar="SECONDS", help="Longest silence of the provider. Default: 600."),
]
Retries = Annotated[
    int | None,
    typer.Option(min=0, max=100, metavar="NUMBER", help="Tries after one that failed, if it may pass. Default: 2."),
]
RequestLimit = Annotated[int | None, typer.Option(min=0, metavar="NUMBER", help="Most requests.")]
RequestTokensLimit = Annotated[int | None, typer.Option(min=0, metavar="NUMBER", help="Most tokens in.")]
ResponseTokensLimit = Annotated[int | None, typer.Option(min=0, metavar="NUMBER", help="Most tokens out.")]
TotalTokensLimit = Annotated[int | None, typer.Option(min=0, metavar="NUMBER", help="Most tokens in and out.")]
MaxCost = Annotated[
    float | None, typer.Option(min=0, metavar="USD", help="Most to spend, by estimate: refused before, stopped during.")
]
AllowUnknownCost = Annotated[
    bool | None,
    typer.Option(
        "--allow-unknown-cost/--no-allow-unknown-cost", help="With --max-cost, take a model without known price."
    ),
]
NoInput = Annotated[bool, typer.Option("--no-input", help="Never ask anything.")]
UserId = Annotated[
    str | None, typer.Option("--user-id", metavar="TEXT", help="End-user identifier, where there is one.")
]
Region = Annotated[str | None, typer.Option("--region", metavar="NAME", help="Region of Bedrock or Vertex.")]
Project = Annotated[str | None, typer.Option("--project", metavar="NAME", help="Google Cloud project for Vertex.")]
ServiceAccount = Annotated[
    str | None, typer.Option("--service-account", metavar="FILE", help="Google service account's key file, for Vertex.")
]
Stream = Annotated[bool | None, typer.Option("--stream/--no-stream", help="Text as it arrives, or all at the end.")]
Theme = Annotated[
    Literal["auto", "dark", "light", "ansi", "none"] | None,
    typer.Option("--theme", metavar="NAME", help="Colours of markdown: auto, dark, light, ansi or none."),
]
Color = Annotated[bool | None, typer.Option("--color/--no-color", help="Colours, or none. NO_COLOR is honoured.")]
Lenient = Annotated[
    bool | None, typer.Option("--lenient/--strict", help="Drop an option that the API does not take, with a note.")
]
AllowIncomplete = Annotated[
    bool | None,
    typer.Option("--allow-incomplete/--no-allow-incomplete", help="A reply that was cut counts as success."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the exact request, key masked, and send nothing.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only errors on stderr.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say which model and address, and the request id.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show a traceback with an error, keys masked.")]
