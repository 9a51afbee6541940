"""Every fault of benchmarks/FAULTS.md, tried a few times."""

import pytest

from benchmarks.faults.fault import Effort, Fault
from benchmarks.faults.faults import FAULTS

SEED = 6

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_nothing_is_lost(fault: Fault) -> None:
    found = fault.inject(Effort(fault.short, SEED))
    assert found.tried >= fault.short
    assert not found.losses, found.losses
