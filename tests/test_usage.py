"""Usage arithmetic: sums, details and OpenTelemetry names."""

from __future__ import annotations

from llmcli.usage import Usage


def test_it_prints_as_documented() -> None:
    printed = "Usage(requests=1, request_tokens=57, response_tokens=8, total_tokens=65, details=None)"
    assert repr(Usage(1, 57, 8, 65)) == printed


def test_unknown_plus_unknown_is_unknown_and_unknown_plus_known_is_known() -> None:
    total = Usage(1, None, 5) + Usage(1, None, None, 7)
    assert total == Usage(2, None, 5, 7)


def test_the_operands_of_a_sum_stay_as_they_are() -> None:
    a, b = Usage(1, 1, 1, 2, {"cached_tokens": 1}), Usage(1, 2, 2, 4, {"cached_tokens": 2, "other": 3})
    assert (a + b).details == {"cached_tokens": 3, "other": 3}
    assert a.details == {"cached_tokens": 1}
    assert b.details == {"cached_tokens": 2, "other": 3}


def test_incr_adds_in_place_and_extra_requests() -> None:
    usage = Usage()
    usage.incr(Usage(1, 2, 3, 5), requests=2)
    assert usage == Usage(3, 2, 3, 5)
    usage.incr(Usage(details={}))
    assert usage.details is None


def test_opentelemetry_keeps_zeros_and_leaves_unknown_out() -> None:
    assert Usage(1, 0, None, 9, {"cached_tokens": 0}).opentelemetry_attributes() == {
        "gen_ai.usage.input_tokens": 0,
        "gen_ai.usage.details.cached_tokens": 0,
    }
