"""The state of a session, and sending one prompt of it; the input line and the commands are in other modules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from llmcli.config.load import Config
from llmcli.console import Console
from llmcli.conversation import Conversation
from llmcli.errors import ClosedPipe, Interrupted, UserError
from llmcli.factory import chained, choose_model, limits_of, model_settings, shape_of
from llmcli.messages import Attachment, UserPromptPart
from llmcli.providers.lookup import split_model
from llmcli.saving import Saver
from llmcli.template import Template
from llmcli.turn import check_secrets, run
from llmcli.window import warn_of_window

if TYPE_CHECKING:
    from llmcli.toolbox import Toolbox

__all__ = ["Over", "Session", "refuse_json"]

_SIGINT_CODE = Interrupted.exit_code


class Over(Exception):
    """The session ends, with this exit code."""

    def __init__(self, exit_code: int = 0) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


def refuse_json(form: str | None) -> None:
    """Raise UserError for a format that a session does not have."""
    if form in ("json", "ndjson"):
        raise UserError("a session has no JSON", hint="give a prompt: llmcli --json ...")


class Session:
    """The state of an interactive session: a conversation, its settings, and the parts of the next prompt."""

    def __init__(
        self, config: Config, model_name: str, conversation: Conversation, console: Console, saver: Saver | None = None
    ) -> None:
        self.config = config
        self.start_config = config
        self.model_name = model_name
        """The model as the user wrote it."""
        self.conversation = conversation
        self.console = console
        self.files: list[str] = []
        """Text files that go with the next prompt."""
        self.attachments: list[Attachment] = []
        """Attachments that go with the next prompt."""
        self.unanswered: UserPromptPart | None = None
        """The last prompt, if it has no reply."""
        self.first = ""
        """The first prompt, if it does not come from the keyboard."""
        self.draft = ""
        """The text with which the next input line begins."""
        self.saver = saver or Saver(config, console, in_session=True)
        self.template: tuple[Template, dict[str, str]] | None = None
        """A prompt file that the next prompt fills, and its parameters."""
        self.toolbox: Toolbox | None = None
        """The tools that are offered."""
        self.prices_loaded = False
        self.say: Callable[[str], None] = lambda text: console.stderr.write(f"{text}\n")
        """Shows lines to the user."""
        self.to_terminal: Callable[[str], None] = lambda text: None
        self.choose: Callable[[Sequence[str], Callable[[int], str]], int | None] = lambda rows, glance: None
        """Lets the user choose one of several rows; returns its index."""
        self._start_providers = self._providers(model_name)

    def send(self, prompt: UserPromptPart) -> None:
        """Send a prompt and show the reply. Every error has been shown.

        Raises Over where the session cannot go on.
        """
        check_secrets(prompt, self.config, self.console)
        conversation = self.conversation
        warn_of_window(prompt, conversation, self.config, self.console)
        self.unanswered = prompt
        before = len(conversation.replies)
        if self.toolbox:
            self.toolbox.offer(conversation, self.config)
        result = run(
            conversation,
            prompt,
            self.config,
            self.console,
            model=self.model_name,
            in_session=True,
            toolbox=self.toolbox,
            saver=self.saver,
        )
        if len(conversation.replies) > before:
            self.unanswered = None
            self.files.clear()
            self.attachments.clear()
        stopped = isinstance(result.error, Interrupted) and result.exit_code != _SIGINT_CODE
        if stopped or isinstance(result.error, ClosedPipe):
            raise Over(result.exit_code)

    def use_model(self, name: str) -> None:
        """Go on with another model. Raises UserError or SettingsError, and then the old one stays.

        The address and the key that were given for this call belong to the provider that it was begun with.
        """
        config = self.config
        if self._providers(name) != self._start_providers:
            config = replace(config, settings=replace(config.settings, base_url=None, api_key_file=None))
        model = choose_model(config, name, self.console, lazy=True)
        model.check(self.conversation.settings, self.conversation.messages)
        self.conversation.model, self.model_name = model, name

    def configure(self, config: Config) -> None:
        """Put other settings in force. Raises UserError where the model, or a session, does not take them."""
        refuse_json(config.settings.format)
        shape = shape_of(config.settings)
        settings = model_settings(config, shape)
        self.conversation.model.check(settings)
        self.conversation.model = chained(self.conversation.model.members, config)
        self.conversation.settings, self.conversation.limits = settings, limits_of(config)
        self.conversation.shape = shape
        self.console.stderr.color(config.settings.color)
        self.config = config

    def begin_anew(self) -> None:
        """Leave the conversation; what it has cost stays counted."""
        self.conversation.messages.clear()
        self.files.clear()
        self.attachments.clear()
        self.unanswered = None
        self.saver.begin_anew()

    def load(self) -> None:
        """Import the modules of the first reply and load the price list, which takes a moment."""
        from llmcli.providers.prices import load_prices

        if self.console.stdout.is_terminal:
            import_module("llmcli.render.markdown.document")
            import_module("llmcli.render.markdown.layout")
        load_prices()
        self.prices_loaded = True

    def _providers(self, name: str) -> list[str]:
        """The provider prefixes of a model or a chain; none if one is unknown, which `choose_model` reports."""
        with suppress(UserError):
            return [split_model(one, self.config.providers)[0].name for one in self.config.chain(name)]
        return []
