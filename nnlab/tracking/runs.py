"""The runs of an outputs root, as directories with a journal."""

from __future__ import annotations

from pathlib import Path

from nnlab import journal

_ELSEWHERE = "elsewhere.txt"


def find(outputs: Path) -> list[Path]:
    """Return every run directory, sweeps before their children, the oldest first."""
    found = [*outputs.glob(f"runs/*/{journal.NAME}"), *outputs.glob(f"sweeps/*/{journal.NAME}")]
    found = sorted(found) + sorted(outputs.glob(f"sweeps/*/*/{journal.NAME}"), key=_by_number)
    directories = [path.parent for path in found if path.is_file()]  # a named pipe would be waited at for ever
    listed = outputs / _ELSEWHERE
    if listed.exists():
        elsewhere = [Path(line) for line in listed.read_text(encoding="utf-8").splitlines()]
        directories += [path for path in dict.fromkeys(elsewhere) if (path / journal.NAME).is_file()]
    return directories


def note(outputs: Path, directory: Path) -> None:
    """Remember a run whose directory is not where ``find`` looks (``hydra.run.dir=...``)."""
    directory = directory.resolve()
    parts = directory.relative_to(outputs).parts if directory.is_relative_to(outputs) else ("",)
    if (parts[0], len(parts)) not in {("runs", 2), ("sweeps", 2), ("sweeps", 3)}:
        outputs.mkdir(parents=True, exist_ok=True)
        with (outputs / _ELSEWHERE).open("a", encoding="utf-8") as file:
            file.write(f"{directory}\n")


def _by_number(path: Path) -> tuple[str, int, str]:
    name = path.parent.name
    return str(path.parent.parent), int(name) if name.isdecimal() else -1, name
