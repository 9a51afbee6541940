"""What a long export or import shows: a bar of bytes on a terminal, nothing elsewhere or where it is quick."""

import io

import pytest
from rich.console import Console

from nnlab import terminal
from nnlab.portable import display


@pytest.mark.parametrize(
    ("is_terminal", "seconds", "is_shown"), [(True, 0, True), (True, 60, False), (False, 0, False)]
)
def test_a_bar_is_shown_where_it_takes_long(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, seconds: float, is_shown: bool
) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(terminal, "console", lambda: Console(file=shown, force_terminal=is_terminal, width=80))
    monkeypatch.setattr(display, "_SECONDS", seconds)
    with display.Display("importing", 2_000_000) as bar:
        bar.advance(1_500_000)
    assert ("importing" in shown.getvalue()) == is_shown
    assert ("1.5/2.0 MB" in shown.getvalue()) == is_shown
