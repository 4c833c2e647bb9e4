"""One prompt, one reply: from the options to the exit code."""

from __future__ import annotations

import difflib
import json
import math
import os
import re
import traceback
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

from llmcli.config import Config, bare_config, load_config
from llmcli.conversation import Conversation
from llmcli.credentials import Cloud, keys_in, public_address
from llmcli.errors import (
    ClosedPipe,
    IncompleteReply,
    Interrupted,
    LlmcliError,
    NetworkError,
    ProviderError,
    SettingsError,
    UserError,
)
from llmcli.messages import ModelResponse, ModelSettings
from llmcli.models import HTTPRequest, Model, build_model
from llmcli.prompt import Stdin, read_prompt, read_text
from llmcli.render import Renderer, Report, Stderr, Stdout, make_renderer, show

__all__ = ["Options", "ask"]


_LONE = re.compile("[\ud800-\udfff]")  # how Python holds a byte of argv or the environment that is not UTF-8


@dataclass(frozen=True)
class Options:
    """The options of `ask` as they were given; None means not given. Settings are named as in `config.DEFAULTS`."""

    prompt: Sequence[str] = ()
    model: str | None = None
    system: str | None = None
    file: Sequence[str] = ()
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: Sequence[str] | None = None
    option: Sequence[str] = ()
    effort: str | None = None
    thinking: bool | None = None
    format: str | None = None
    json: bool = False
    extract: bool = False
    usage: bool | None = None
    base_url: str | None = None
    api_key_file: str | None = None
    proxy: str | None = None
    ca_file: str | None = None
    timeout: float | None = None
    user_id: str | None = None
    region: str | None = None
    project: str | None = None
    service_account: str | None = None
    stream: bool | None = None
    color: bool | None = None
    lenient: bool | None = None
    allow_incomplete: bool | None = None
    dry_run: bool = False
    quiet: bool = False
    verbose: bool = False
    debug: bool = False


def ask(options: Options) -> int:
    """Send one prompt, show the reply, and return the exit code. Whatever went wrong has then been said."""
    stdout, stderr = Stdout(), Stderr(quiet=options.quiet, color=options.color)
    report = Report(options.model or "")
    given = vars(options) | {"format": "json" if options.json else options.format, "stop": options.stop or None}
    config = bare_config(given)
    conversation: Conversation | None = None
    error: LlmcliError | None = None
    try:
        config = load_config(given)
        if not options.prompt and not options.file and Stdin().is_terminal:
            raise UserError("there is no prompt; nothing was sent", hint='say something: llmcli "...", or see --help')
        stderr.color(config["color"])
        report.model, chosen_because = config.model_name(os.environ)
        if chosen_because:
            stderr.line(f"note: {chosen_because}")
        conversation, prompt = _prepare(options, config, report.model, stderr)
        if options.dry_run:
            request = conversation.preview(prompt)
            for note in request.notes:
                stderr.line(f"note: {note}")
            stdout.write(_shown(request))
            return 0
    except KeyboardInterrupt:
        error = Interrupted("interrupted")
    except LlmcliError as caught:
        error = caught
    renderer = make_renderer(
        config["format"],
        report.model,
        stdout,
        stderr,
        extract=options.extract,
        thinking=_wanted(config["thinking"], stderr) and not options.quiet,
        at_once=not config["stream"],
    )
    if conversation and not error:
        error = _converse(conversation, prompt, renderer, report)
    if isinstance(error, ClosedPipe):
        return error.exit_code
    response = conversation.messages[-1] if conversation and conversation.messages else None
    report.close(response if isinstance(response, ModelResponse) else None, error)
    if conversation:
        stderr.secrets |= conversation.model.secrets  # again: tokens come with the request
    report.secrets = stderr.secrets
    return _finish(report, renderer, options, config, stderr)


def _converse(conversation: Conversation, prompt: str, renderer: Renderer, report: Report) -> LlmcliError | None:
    """Show the reply as it arrives; what broke it off, if anything did."""
    try:
        with closing(conversation.send(prompt)) as events:
            show(events, renderer, report)
    except KeyboardInterrupt:
        return Interrupted("interrupted")
    except LlmcliError as error:
        return error
    return None


def _finish(report: Report, renderer: Renderer, options: Options, config: Config, stderr: Stderr) -> int:
    """Say what is to be said about the reply, and return the exit code."""
    response = report.response
    notes = []
    if response and not report.error:
        report.error = _shortfall(response)
        if isinstance(report.error, IncompleteReply) and config["allow_incomplete"]:
            notes.append(report.error.message)
            report.error = None
        if response.finish_reason == "stop" and not response.text:
            notes.append("the reply is whole, but has no text")
    renderer.end(report)
    for note in notes:
        stderr.line(f"note: {note}")
    if response and response.served_by and _wanted(config["usage"], stderr):
        stderr.line(report.usage_line(), dim=True)
    if not report.error:
        return 0
    if options.debug:
        stderr.write("".join(traceback.format_exception(report.error)))
    stderr.error(report.error)
    if options.verbose and isinstance(report.error, ProviderError) and report.error.request_id:
        stderr.line(f"request id: {report.error.request_id}")
    return report.error.exit_code


def _prepare(options: Options, config: Config, model_name: str, stderr: Stderr) -> tuple[Conversation, str]:
    """The conversation and the prompt; all that can be wrong with the person's input is found here."""
    stderr.secrets = keys_in(os.environ, config.providers)
    stdin = Stdin()
    _check(options, config)
    key = read_text(options.api_key_file, "--api-key-file", stdin) if options.api_key_file else None
    stderr.secrets |= {(key or "").strip()}
    model = _build(options, config, model_name, key, stderr)
    stderr.secrets |= model.secrets
    system = config["system"]
    if system and system.startswith("@"):
        system = read_text(system[1:], "--system", stdin)
    settings = ModelSettings(
        max_tokens=config["max_tokens"],
        temperature=config["temperature"],
        top_p=config["top_p"],
        seed=config["seed"],
        stop=tuple(config["stop"]),
        effort=config["effort"],
        user_id=config["user_id"],
        timeout=config["timeout"],
        lenient=config["lenient"],
        extra=dict(map(_key_value, options.option)),
    )
    if options.verbose:
        stderr.line(f"model: {model.id}, {public_address(model.address) or 'offline'}")
    prompt = read_prompt(options.prompt, options.file, stdin, lambda line: stderr.line(f"note: {line}"))
    return Conversation(model, settings=settings, system=system), prompt


def _build(options: Options, config: Config, name: str, key: str | None, stderr: Stderr) -> Model:
    """The model; a dry run can do without a key, and an alias may be what was meant."""
    build = partial(
        build_model,
        config.aliases.get(name, name),
        providers=config.providers,
        base_url=options.base_url,
        cloud=Cloud(options.region, options.project, options.service_account),
    )
    try:
        return build(api_key=key)
    except UserError as error:
        near = difflib.get_close_matches(name, config.aliases, 1, 0.6)
        if near and near[0] != name:
            error.hint = f"did you mean the alias {near[0]}?"
        raise
    except SettingsError as error:
        if not options.dry_run or error.kind != "credentials" or key is not None:
            raise
        stderr.line(f"note: {error.message}")
        return build(api_key="no-key-is-set")


def _check(options: Options, config: Config) -> None:
    """Refuse what is no text, no number, or has no meaning together; argv and environment may hold any bytes."""
    words = (*options.prompt, config["model"], config["system"], config["user_id"], *config["stop"])
    for word in filter(None, words):
        if place := _LONE.search(word):
            raise UserError(f"not UTF-8: the byte at position {place.start()} of {word!r}")
    for name in ("temperature", "top_p", "timeout"):
        if config[name] is not None and not math.isfinite(config[name]):
            raise UserError(f"--{name.replace('_', '-')} must be a number, not {config[name]}")
    if options.extract and config["format"] in ("json", "ndjson"):
        raise UserError("--extract and JSON exclude each other", hint="take the text field, or leave out one of them")


def _key_value(text: str) -> tuple[str, Any]:
    """One `-o KEY=VALUE`: the value is JSON, or else text."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise UserError(f"--option {text!r} is not KEY=VALUE", hint="for example: -o top_k=40")
    try:
        parsed = json.loads(value)
        json.dumps(parsed, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        parsed = value
    if _LONE.search(key + value):
        raise UserError(f"--option {text!r} is not UTF-8")
    return key, parsed


def _wanted(said: bool | None, stderr: Stderr) -> bool:
    """Whether to show something that is shown when a person reads stderr, unless somebody said otherwise."""
    return stderr.is_terminal if said is None else said


def _shortfall(response: ModelResponse) -> LlmcliError | None:
    """What is missing from a reply that ended by itself; None for a whole one."""
    reason, word = response.finish_reason, response.finish_word
    accept = "--allow-incomplete takes it as it is"
    if reason == "stop":
        return None
    if reason == "error":
        return NetworkError(f"the provider broke off with the finish reason {word}", kind="stream")
    if reason == "length":
        return IncompleteReply("the reply is cut: it reached its token limit", hint=f"raise --max-tokens; {accept}")
    if reason == "content_filter":
        return IncompleteReply(f"the provider withheld the reply, or a part of it ({word or 'refusal'})", hint=accept)
    if reason == "tool_call":
        names = ", ".join(response.tool_names) or "unnamed"
        return IncompleteReply(f"the model asked for a tool, and none was offered: {names}", hint=accept)
    why = f"its finish reason is {word}" if word else "it ended without a finish reason"
    return IncompleteReply(f"the reply is not whole: {why}", hint=accept)


def _shown(request: HTTPRequest) -> str:
    head = "".join(f"{name}: {value}\n" for name, value in request.headers.items())
    body = json.dumps(json.loads(request.body), indent=2, ensure_ascii=False)
    return f"{request.method} {request.url}\n{head}\n{body}\n"
