"""Two machines: an outputs root each, and what is carried from one to the other."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nnlab.cli import main


class Machine:
    """An outputs root, and the command line with it."""

    def __init__(self, outputs: Path, capsys: pytest.CaptureFixture[str], use: Callable[[Path], None]) -> None:
        self.outputs = outputs
        self._capsys, self._use = capsys, use

    def nnlab(self, *arguments: object, code: int = 0) -> str:
        """Run a command, and return what it prints; of one that is refused, its only line."""
        self._use(self.outputs)
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(each) for each in arguments])
        printed = self._capsys.readouterr()
        assert ended.value.code == code, printed.err
        if not code:
            assert printed.err == ""
            return printed.out
        assert printed.err.startswith("nnlab: ")
        assert printed.err.count("\n") == 1
        assert printed.err[:-1].isprintable()
        return printed.err

    def export(self, *what: str) -> Path:
        """Export what is named from the outputs root, and return the archive."""
        file = self.outputs.parent / f"{self.outputs.name}-{len([*self.outputs.parent.iterdir()])}.zip"
        self.nnlab("export", *(self.outputs / each for each in what), "-o", file)
        return file


Machines = Callable[[str], Machine]


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system write when it likes: all that others have written would be waited for too."""
    monkeypatch.setattr(os, "sync", lambda: None, raising=False)
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def machine(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Machines:
    def made(name: str) -> Machine:
        (tmp_path / "machines").mkdir(exist_ok=True)
        return Machine(
            tmp_path / "machines" / name, capsys, lambda outputs: monkeypatch.setenv("NNLAB_OUTPUTS", str(outputs))
        )

    return made
