"""A session on all cores, and what happens when one of its processes goes; see tests/sweep/test_sweep_workers.py."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nnlab import journal

EXPERIMENT = """
# @package _global_
# A small experiment.
defaults:
  - override /dataset: moons
  - override /tracking: none
training:
  epochs: 3
  blas_threads: 1
claim:
  system: own
  kind: own
  protocol: on held-out points
  cost: 1
  seeds: [0, 1, 2]
  figures:
    - {metric: final/test_accuracy}
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(EXPERIMENT)
    return path


@pytest.fixture
def long_session(experiment: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    """A session whose two workers will be busy for hours."""
    experiment.write_text(EXPERIMENT.replace("epochs: 3", "epochs: 10000000"))
    command = [sys.executable, "-m", "nnlab", "reproduce", str(experiment)]
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as session:
        yield session
        session.kill()


def busy_workers(session: subprocess.Popen[str], outputs: Path) -> list[int]:
    """The processes that write a journal; waits until there are two."""
    for _ in range(600):
        running = [path for path in outputs.glob(f"sweeps/*/*/{journal.NAME}") if path.stat().st_size > 5000]
        if len(running) >= 2:
            break
        assert session.poll() is None, session.communicate()[1]
        time.sleep(0.1)
    children = Path(f"/proc/{session.pid}/task/{session.pid}/children").read_text().split()
    return [pid for pid in map(int, children) if "popen_loky" in Path(f"/proc/{pid}/cmdline").read_text()]


def are_gone(workers: list[int]) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(Path(f"/proc/{pid}/cmdline").exists() for pid in workers):
        time.sleep(0.1)
    return not any(Path(f"/proc/{pid}/cmdline").exists() for pid in workers)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_an_interrupt_ends_the_workers(long_session: subprocess.Popen[str], outputs: Path) -> None:
    workers = busy_workers(long_session, outputs)
    long_session.send_signal(signal.SIGTERM)
    _, error = long_session.communicate(timeout=60)
    assert (long_session.returncode, error.splitlines()[-1]) == (130, "nnlab: interrupted")
    assert are_gone(workers)
    (sweep,) = outputs.glob("sweeps/*")
    statuses = [journal.read(path.parent).status for path in [sweep / journal.NAME, *sweep.glob(f"*/{journal.NAME}")]]
    assert set(statuses) == {"KILLED"}


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_end_with_a_killed_session_and_the_next_goes_on(
    long_session: subprocess.Popen[str], outputs: Path, experiment: Path
) -> None:
    workers = busy_workers(long_session, outputs)
    long_session.kill()
    long_session.wait()
    assert are_gone(workers)
    (sweep,) = outputs.glob("sweeps/*")
    killed = {path.parent.name: path.read_bytes() for path in sweep.glob(f"*/{journal.NAME}")}
    assert {journal.read(sweep / name).status for name in killed} == {"KILLED"}

    experiment.write_text(EXPERIMENT)  # of an end that a test can wait for
    again = subprocess.run([*long_session.args], capture_output=True, text=True, timeout=120, check=False)  # type: ignore[misc]
    assert again.returncode == 0, again.stderr
    assert "going on with" in again.stdout
    assert {name: (sweep / name / journal.NAME).read_bytes() for name in killed} == killed
    attempts = {path.parent.name for path in sweep.glob(f"*/{journal.NAME}")}
    assert attempts == {*killed, *(f"{seed}.1" if seed in killed else seed for seed in "012")}
