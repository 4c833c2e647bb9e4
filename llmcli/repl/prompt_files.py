"""Prompt files in a session: /template, and --template for the first prompt."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from llmcli.errors import UserError
from llmcli.messages import UserPromptPart
from llmcli.permission import open_template
from llmcli.repl.session import Session
from llmcli.template import Template, given_params, template_names

__all__ = ["filled", "prompt_files", "use_template", "wait_for_prompt"]


def use_template(session: Session, argument: str) -> None:
    """`/template NAME [KEY=VALUE]...`: put its settings in force, and fill it with the next prompt.

    A prompt file without `{{input}}` is sent at once. Without a name, the names are listed; `-` takes it back.
    """
    try:
        name, *words = shlex.split(argument) or [""]
    except ValueError as error:
        raise UserError(f"{argument}: {error}", hint="close the quotation mark") from None
    if name == "-":
        session.template = None
    if name in ("", "-"):
        waiting = f"{session.template[0].name} waits for the next prompt" if session.template else ""
        names = ", ".join(one for one, _, _ in template_names())
        session.say(waiting or f"prompt files: {names}; /template NAME [KEY=VALUE]... fills one")
        return
    template = open_template(name, {}, session.console)
    params = given_params(words)
    template.fill("", params, input_is_elsewhere=True)  # its parameters are checked now
    _apply(session, template)
    if template.text and not template.wants_input:
        session.send(UserPromptPart.of(template.fill("", params), tuple(session.attachments)))
        return
    wait_for_prompt(session, template, params)
    session.say(f"the next prompt fills {template.name}" if template.text else f"in force: {template.name}")


def wait_for_prompt(session: Session, template: Template, params: dict[str, str]) -> None:
    """Fill the template with the next prompt."""
    session.template = (template, params) if template.text else None


def filled(session: Session, text: str) -> str:
    """The prompt that was typed, put into the prompt file that waits for one."""
    if not session.template:
        return text
    template, params = session.template
    text = template.fill(text, params)
    session.template = None
    return text


def prompt_files(session: Session, argument: str) -> Iterable[str]:
    """What the argument of /template may become."""
    name, blank, _ = argument.partition(" ")
    return () if blank else [one for one, _, _ in template_names() if one.startswith(name)]


def _apply(session: Session, template: Template) -> None:
    """Put the settings of its front matter in force, in this session."""
    config = session.config
    for name, value in template.settings.items():
        if name not in ("model", "system", "format", "extract"):
            config = config.changed(name, value, f"prompt file {template.name}")
    session.configure(config)
    if model := template.settings.get("model"):
        session.use_model(model)
    if system := template.settings.get("system"):
        session.conversation.instruct(system)
