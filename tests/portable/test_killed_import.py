"""An import that is killed at any moment: a second one completes it, and until then every run is what it was."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.portable.conftest import Machines
from tests.portable.records import kept, run, sweep
from tests.portable.test_import import go_on

KILLER = """
import os, shutil, signal, sys
from pathlib import Path
from nnlab import journal
from nnlab.output import say
from nnlab.portable.importing import bring_in
from tests.portable.records import kept

os.sync = os.fsync = lambda *_: None  # the disk is not what fails here
file, start, outputs = Path(sys.argv[1]), Path(sys.argv[2]), Path(os.environ["NNLAB_OUTPUTS"])
begin = {path.relative_to(start): journal.read(path.parent).status for path in start.rglob(journal.NAME)}
CHANGES = {"os.mkdir", "os.rename", "os.truncate", "shutil.rmtree", "write"}

def arrive(die_at):
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    seen = 0
    def count(event, arguments):
        nonlocal seen
        is_write = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event in CHANGES or is_write:
            seen += 1
            if seen == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(count)
    original = os.write
    def write(fd, data):
        sys.audit("write")
        half = original(fd, data[: len(data) // 2]) if seen + 1 == die_at else 0
        sys.audit("write")
        return half + original(fd, data[half:])
    os.write = write
    bring_in(file)
    os._exit(0)

points = 0
while True:
    points += 1
    shutil.rmtree(outputs, ignore_errors=True)
    shutil.copytree(start, outputs)
    status = arrive(points)
    for path, before in begin.items():
        assert (outputs / path).is_file(), (points, path)
        assert journal.read((outputs / path).parent).status in (before, "KILLED", "FINISHED"), (points, path)
    done = status == 0
    assert done or os.WIFSIGNALED(status), (points, status)
    again = arrive(0)
    assert again == 0, (points, again)
    assert kept(outputs) == kept(Path(sys.argv[3])), points
    assert not (outputs / ".import").exists(), points
    if done:
        break
print(points)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_second_import_completes_a_killed_one(machine: Machines, tmp_path: Path) -> None:
    home, away = machine("home"), machine("away")
    run(home.outputs / "runs" / "a", "a", ended=None)
    sweep(home.outputs / "sweeps" / "s", "s", 1)
    away.nnlab("import", home.export("runs/a", "sweeps/s/0"))
    go_on(away.outputs / "runs" / "a")
    run(away.outputs / "runs" / "new", "new")
    sweep(away.outputs / "sweeps" / "t", "t", 1, stands="../s/0")
    file = away.export("runs/a", "runs/new", "sweeps/t")
    (tmp_path / "expected").mkdir()
    expected = machine("expected")
    expected.nnlab("import", home.export("runs/a", "sweeps/s"))
    expected.nnlab("import", file)
    pruned = "runs/a/checkpoints/epoch-000002/0.weight.npy"
    assert kept(expected.outputs).keys() == {*kept(home.outputs), *kept(away.outputs)} - {pruned}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLER, file, home.outputs, expected.outputs],
        env={**os.environ, "NNLAB_OUTPUTS": str(tmp_path / "killed"), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 30
