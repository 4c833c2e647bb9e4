"""Fetch the current price list of genai-prices, for `llmcli models --update`."""

from __future__ import annotations

from contextlib import closing

from llmcli import __version__
from llmcli.errors import ProviderError
from llmcli.models.http.bounded import DOCUMENT, read_whole
from llmcli.models.http.client import http_client, timeout
from llmcli.models.http.network_errors import address_errors, network_errors
from llmcli.providers.network import Network
from llmcli.providers.price_list import keep_prices

__all__ = ["fetch_prices"]

_WHO = "the price list"


def fetch_prices(network: Network, seconds: float, url: str | None = None) -> int:
    """Fetch the list and keep it; return the number of its models. `url` is where genai-prices updates from, if None.

    Raises ProviderError where it cannot be fetched or is no price list, SettingsError where it cannot be kept.
    """
    if url is None:
        from genai_prices.update_prices import DEFAULT_UPDATE_URL

        url = DEFAULT_UPDATE_URL
    with http_client(network, url) as client:
        request = client.build_request(
            "GET", url, headers={"User-Agent": f"llmcli/{__version__}"}, timeout=timeout(seconds)
        )
        with address_errors(_WHO), network_errors(_WHO, request):
            response = client.send(request, stream=True)
            with closing(response):
                if not response.is_success:
                    message = f"{_WHO}: HTTP status {response.status_code} from {request.url.host}"
                    raise ProviderError(message, status=response.status_code)
                content = read_whole(response, DOCUMENT, seconds)
    try:
        return keep_prices(content)
    except (ValueError, RecursionError) as error:
        why = str(error).partition("\n")[0][:200]
        raise ProviderError(f"{_WHO}: {request.url.host} did not answer with one: {why}", kind="no_reply") from None
