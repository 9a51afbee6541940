"""What tests of searches share."""

import pytest

from nnlab import pictures as of_runs


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing: that takes longer than training."""
    monkeypatch.setattr(of_runs, "draw_curves", lambda *_: None)
    monkeypatch.setattr(of_runs, "draw_predictions", lambda *_: None)
