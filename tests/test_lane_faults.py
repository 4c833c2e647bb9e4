"""Every fault of `lane_faults.py` for every lane, and the page that is made of them."""

from __future__ import annotations

from contextlib import suppress

import pytest

from llmcli.errors import ProviderError
from tests.fake_batches import FakeOpenAI
from tests.lane_faults import ALL, FAULTS, LANES, ONE, PAGE, LaneFault, page
from tests.test_lanes import SERVICES, fetched, lane_at, submitted


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
@pytest.mark.parametrize("lane", LANES)
def test_fault_hits_the_rows_that_the_table_says(lane: str, fault: LaneFault) -> None:
    expected = fault.expected(lane)
    if expected is None:
        pytest.skip("cannot happen at this vendor")
    with SERVICES[lane][0]() as service:
        if isinstance(service, FakeOpenAI):
            service.wrapped = lane == "together"
        service.faults = [fault.answer] if fault.answer else []
        service.outcomes = {"row-8": fault.outcome} if fault.outcome else {}
        service.state = fault.state.get(lane, "")
        used = lane_at(lane, service)
        if fault.gone:
            service.__exit__()
        hit: dict[int, ProviderError | None] = dict.fromkeys((7, 8, 9))
        try:
            hit = {index: one.error for index, one in fetched(used, submitted(used)).items()}
        except ProviderError as error:
            hit = dict.fromkeys(hit, error)
    errors = {index: error for index, error in hit.items() if error}
    assert set(errors) == ({8} if expected[2] == ONE else {7, 8, 9})
    assert {(error.exit_code, error.kind) for error in errors.values()} == {expected[:2]}


def test_page_is_that_of_the_table() -> None:
    with suppress(FileNotFoundError):
        assert PAGE.read_text() == page(), "run: python -m tests.lane_faults"
    assert ALL in page()
