"""Records for tests: runs and sweeps written by hand, with what a machine leaves beside them."""

import json
from collections.abc import Mapping
from pathlib import Path

START = 1_700_000_000_000


def lines(directory: Path, *events: Mapping[str, object]) -> None:
    """Append lines to a journal."""
    path = directory / "journal.jsonl"
    written = len(path.read_bytes().splitlines()) if path.exists() else 0
    with path.open("a") as file:
        for number, event in enumerate(events, written):
            file.write(json.dumps({"timestamp": START + number, **event}) + "\n")


def status(text: str) -> dict[str, object]:
    return {"type": "status", "status": text, "reason": None}


def epochs(directory: Path, *numbers: int) -> None:
    """Append epochs with a checkpoint each; the one before is pruned, as runs do."""
    for number in numbers:
        folder = directory / "checkpoints" / f"epoch-{number:06d}"
        folder.mkdir(parents=True)
        (folder / "0.weight.npy").write_bytes(bytes([number]) * 1000)
        lines(directory, {"type": "metrics", "step": number, "metrics": {"val/loss": 1.0 / (1 + number)}})
        lines(directory, {"type": "artifact", "path": f"checkpoints/{folder.name}"})
        before = folder.with_name(f"epoch-{number - 1:06d}")
        if number > 1:
            for file in before.iterdir():
                file.unlink()
            before.rmdir()
            lines(directory, {"type": "pruned", "path": f"checkpoints/{before.name}"})


def run(directory: Path, run_id: str, *, parent: str | None = None, ended: str | None = "FINISHED") -> Path:
    """Write a run of three epochs."""
    (directory / ".hydra").mkdir(parents=True)
    header = {"run_id": run_id, "name": f"run {run_id}", "experiment": "e", "parent": parent, "user": "ada"}
    lines(directory, {"type": "run", **header, "tracking": None, "tags": {}})
    lines(directory, {"type": "params", "params": {"seed": 0}}, {"type": "artifact", "path": "config.yaml"})
    (directory / "config.yaml").write_text("seed: 0\n")
    (directory / ".hydra" / "overrides.yaml").write_text("[]\n")
    (directory / "train.log").write_text("begun\n")
    epochs(directory, 0, 1, 2)
    (directory / "plots").mkdir()
    (directory / "plots" / "loss.png").write_bytes(b"\x89PNG" + bytes(range(256)))
    lines(directory, {"type": "artifact", "path": "plots/loss.png"})
    if ended:
        lines(directory, status(ended))
    for local in (".mlflow-12345678.json", ".reserve", ".submitit", "checkpoints/.epoch-000009.tmp"):
        (directory / local).write_text("of this machine")
    return directory


def sweep(directory: Path, run_id: str, runs: int, *, ended: str = "FINISHED", stands: str | None = None) -> Path:
    """Write a sweep with so many runs, and a further job that stands elsewhere."""
    directory.mkdir(parents=True)
    header = {"run_id": run_id, "name": "seed", "experiment": "e", "parent": None, "user": "ada", "jobs": runs}
    lines(directory, {"type": "run", **header, "tracking": None, "tags": {"nnlab.kind": "sweep"}})
    jobs = [{"number": each, "directory": str(each), "stands": None} for each in range(runs)]
    jobs += [{"number": runs, "directory": str(runs), "stands": stands}] if stands else []
    (directory / "sweep.json").write_text(json.dumps({"jobs": jobs}))
    for number in range(runs):
        run(directory / str(number), f"{run_id}{number}", parent=run_id, ended=ended)
    lines(directory, status(ended))
    return directory


def tree(root: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def kept(root: Path) -> dict[str, bytes]:
    """Return the same without what is of one machine alone."""
    return {
        name: data
        for name, data in tree(root).items()
        if not any(part.startswith(".") and part != ".hydra" for part in name.split("/"))
    }
