"""Declare the settings of a request: prompt, model, reply, tools, connection and limits."""

# No `from __future__ import annotations` here: see `llmcli.config.settings`.

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from llmcli.config.declare import given, setting
from llmcli.messages import Effort

__all__ = ["RequestSettings"]


@dataclass(kw_only=True)
class RequestSettings:
    """The fields of `Settings` in the sections Prompt, Model and Connection of `--help`."""

    prompt: Sequence[str] = given(
        (), "The prompt. - reads it from stdin.", section="Prompt", metavar="PROMPT", chat=False
    )
    model: str | None = setting(
        None,
        "Model to use. Separate several with commas to fall back to the next one on failure; give -m again to ask "
        "another model at the same time. Default: LLMCLI_MODEL, "
        "the settings file, then the first provider with a key.",
        *("--model", "-m"),
        section="Prompt",
        metavar="PROVIDER:MODEL",
        complete="model",
        table="",
    )
    system: str | None = setting(
        None, "System prompt. @FILE reads it from a file.", "--system", "-s", section="Prompt", metavar="TEXT"
    )
    template: str | None = given(
        None,
        "Prompt file to fill: a name that `llmcli templates` lists, or a path.",
        "--template",
        "-t",
        section="Prompt",
        metavar="NAME_OR_PATH",
        complete="template",
    )
    param: Sequence[str] = given(
        (),
        "Value for a {{KEY}} of the prompt file. Repeatable.",
        "--param",
        section="Prompt",
        metavar="KEY=VALUE",
    )
    file: Sequence[str] = given(
        (),
        "Text file, folder, glob or URL to send. It goes before the prompt. - is stdin. Repeatable.",
        "--file",
        "-f",
        section="Prompt",
        metavar="PATH_OR_URL",
    )
    attach: Sequence[str] = given(
        (),
        "Image, PDF or audio file to send. - is stdin. Repeatable.",
        "--attach",
        "-a",
        section="Prompt",
        metavar="PATH_OR_URL",
    )
    messages: str | None = given(
        None,
        "JSON file with the messages before the prompt, as `messages` of --json. - is stdin.",
        "--messages",
        section="Prompt",
        metavar="FILE",
        chat=False,
    )
    web: bool = setting(
        False, "Let the vendor's own web search run, where it has one.", "--web/--no-web", section="Model", env=False
    )
    effort: Effort | None = setting(
        None, f"Reasoning effort: {', '.join(get_args(Effort))}.", "--effort", section="Model", metavar="LEVEL"
    )
    temperature: float | None = setting(
        None, "Sampling temperature.", "--temperature", section="Model", metavar="NUMBER", min=0
    )
    top_p: float | None = setting(None, "Nucleus sampling.", "--top-p", section="Model", metavar="NUMBER", min=0, max=1)
    top_k: int | None = setting(
        None,
        "Sample only from the K most likely tokens. Gemini, Cohere and some OpenAI-compatible providers take it.",
        "--top-k",
        section="Model",
        metavar="NUMBER",
        min=1,
    )
    max_tokens: int | None = setting(
        None, "Longest reply, in tokens.", "--max-tokens", section="Model", metavar="NUMBER", min=1
    )
    seed: int | None = setting(None, "Seed for sampling.", "--seed", section="Model", metavar="NUMBER")
    stop: Sequence[str] = setting(
        (), "End the reply at this text. Repeatable.", "--stop", section="Model", metavar="TEXT"
    )
    option: Sequence[str] = given(
        (),
        "Further field of the request body. VALUE is JSON, else text. Repeatable.",
        *("--option", "-o"),
        section="Model",
        metavar="KEY=VALUE",
    )
    user_id: str | None = setting(
        None, "End-user identifier, where the API has a field for it.", "--user-id", section="Model", metavar="TEXT"
    )
    cache: bool | None = setting(
        None,
        "Mark the prompt for the vendor's cache, where it wants that. Default: in sessions.",
        "--cache/--no-cache",
        section="Model",
    )
    lenient: bool = setting(
        False,
        "Drop an option that the API does not take, with a note, instead of refusing it.",
        "--lenient/--strict",
        section="Model",
    )
    api_key_file: str | None = given(
        None, "Read the API key from a file. - is stdin.", "--api-key-file", section="Connection", metavar="FILE"
    )
    allow_secrets: bool = given(
        False,
        "Send text that holds one of your own keys. Without this option such a prompt is refused.",
        "--allow-secrets",
        section="Connection",
    )
    base_url: str | None = given(
        None, "Base URL of the provider, for this call.", "--base-url", section="Connection", metavar="URL"
    )
    proxy: str | None = setting(
        None,
        "Proxy URL, or 'none'. Default: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY.",
        "--proxy",
        section="Connection",
        metavar="URL",
    )
    ca_file: str | None = setting(
        None,
        "PEM file of certificates to trust in addition to the system's.",
        "--ca-file",
        section="Connection",
        metavar="FILE",
    )
    client_cert: str | None = setting(
        None, "PEM file of the certificate to show to a gateway that wants one.", section="Connection"
    )
    client_key: str | None = setting(
        None, "PEM file of its private key, where that is another file.", section="Connection"
    )
    timeout: float = setting(
        600.0,
        "Seconds to wait for the next event of the reply before giving up. Default: 600.",
        "--timeout",
        section="Connection",
        metavar="SECONDS",
        min=0.001,
        max=1e6,
    )
    retries: int = setting(
        2,
        "Number of retries after a transient failure. Default: 2.",
        "--retries",
        section="Connection",
        metavar="NUMBER",
        min=0,
        max=100,
    )
    region: str | None = given(None, "Region of Bedrock or Vertex.", "--region", section="Connection", metavar="NAME")
    project: str | None = given(
        None, "Google Cloud project for Vertex.", "--project", section="Connection", metavar="NAME"
    )
    service_account: str | None = given(
        None,
        "Key file of a Google service account, for Vertex.",
        "--service-account",
        section="Connection",
        metavar="FILE",
    )
    fallback_on: Sequence[str | int] = setting(
        (), "Errors that move on to the next model of a chain: kinds and statuses.", section="Connection"
    )
