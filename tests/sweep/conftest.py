"""What tests of sweeps share."""

import pytest

from nnlab import pictures as of_runs
from nnlab.sweep import pictures as of_sweeps


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing: that takes longer than training where a test is about something else."""
    monkeypatch.setattr(of_runs, "draw_curves", lambda *_: None)
    monkeypatch.setattr(of_runs, "draw_predictions", lambda *_: None)
    monkeypatch.setattr(of_sweeps, "draw", lambda *_: [])
