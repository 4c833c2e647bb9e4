"""The batch services of vendors: choose the one of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmcli.errors import UserError

if TYPE_CHECKING:
    from llmcli.batch.lane import Lane
    from llmcli.models import Model

__all__ = ["LANES", "lane_for"]

LANES = ("openai", "azure", "groq", "together", "anthropic", "google-gla", "mistral")
"""The providers whose batch service llmcli knows."""


def lane_for(model: Model, seconds: float) -> Lane:
    """The lane of a model; `seconds` is the timeout of each request. Raises UserError where there is none."""
    from llmcli.models.http.http_model import HTTPModel
    from llmcli.models.http.jobs import JobClient

    name = model.id.partition(":")[0]
    if name not in LANES or not isinstance(model, HTTPModel):
        raise UserError(
            f"{model.id} has no batch service that llmcli knows", hint=f"--half-price is for {', '.join(LANES)}"
        )
    client = JobClient(model, seconds)
    if name == "anthropic":
        from llmcli.batch.lanes.anthropic import AnthropicLane

        return AnthropicLane(model, client)
    if name == "google-gla":
        from llmcli.batch.lanes.gemini import GeminiLane

        return GeminiLane(model, client)
    if name == "mistral":
        from llmcli.batch.lanes.mistral import MistralLane

        return MistralLane(model, client)
    from llmcli.batch.lanes.openai import VARIANTS, OpenAILane

    return VARIANTS.get(name, OpenAILane)(model, client)
