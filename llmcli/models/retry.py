"""Retry a request after a transient failure: with a notice, within bounds, never after a piece of the reply."""

from __future__ import annotations

import random
import time
from collections.abc import Generator, Sequence
from contextlib import closing

from llmcli.errors import ProviderError
from llmcli.messages import (
    AttemptFailed,
    ModelMessage,
    ModelSettings,
    Notice,
    Progress,
    ReplyStart,
    StreamEvent,
    UsageUpdate,
)
from llmcli.models import Model

__all__ = ["LONGEST_WAIT_S", "has_content", "with_retries"]

LONGEST_WAIT_S = 60.0  # the longest sleep; a longer Retry-After ends the retries


def with_retries(model: Model, messages: Sequence[ModelMessage], settings: ModelSettings) -> Generator[StreamEvent]:
    """`model.stream` with up to `settings.retries` retries; each failure but the last becomes an AttemptFailed.

    Raises the last ProviderError. A Retry-After of more than a minute ends the retries at once. A chain is
    not retried, because each of its members is. After a 401 the key_command runs again, once, and another
    key that it prints is used at once.
    """
    retries = settings.retries if model.members == (model,) else 0
    attempt, renewed = 0, False
    while True:
        begun = False
        try:
            with closing(model.stream(messages, settings)) as events:
                for event in events:
                    begun = begun or has_content(event)
                    if begun or not attempt or not isinstance(event, Notice):  # a notice is shown once
                        yield event
            return
        except ProviderError as error:
            error.model = error.model or model.id
            if not begun and not renewed and error.status == 401 and model.renew_key():
                renewed = True
                yield Notice(f"{model.id}: the key was refused; key_command gave another one")
                continue
            wait = max(back_off(attempt), error.retry_after or 0)
            if begun or attempt == retries or not error.is_passing or wait > LONGEST_WAIT_S:
                raise
            what = f"{error.status} from {model.id}" if error.status else error.message
            text = f"{what}, waiting {wait:.2g} s, retry {attempt + 1} of {retries}"
            yield AttemptFailed(error, text, model.id, wait)
        attempt += 1
        time.sleep(wait)


def has_content(event: StreamEvent) -> bool:
    """Whether the event is a piece of the reply itself, after which a failure is the reply's own."""
    return not isinstance(event, (Notice, Progress, AttemptFailed, ReplyStart, UsageUpdate))


def back_off(attempt: int) -> float:
    """Half a second, doubled with each try up to eight, less a random part so that a crowd does not return as one."""
    return min(0.5 * 2.0**attempt, 8.0) * (1 - random.random() / 4)
