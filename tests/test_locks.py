import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nnlab import locks

HOLD = """
import os, sys
from nnlab import locks
fd = os.open(sys.argv[1], os.O_RDWR)
print(locks.try_lock(fd), flush=True)
sys.stdin.read()
"""


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that tries for the lock of a file, and keeps it until its input ends."""
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def answer(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def open_lock(path: Path) -> int:
    path.touch()
    return os.open(path, os.O_RDWR)


def test_a_file_that_is_not_there_or_that_nobody_locks_is_free(tmp_path: Path) -> None:
    assert not locks.is_locked(tmp_path / "absent")
    (tmp_path / "file").touch()
    assert not locks.is_locked(tmp_path / "file")
    assert not (tmp_path / "absent").exists()


def test_a_lock_is_seen_by_others_and_ends_with_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "file"
    fd = open_lock(path)
    with holder(path) as process:
        assert answer(process) == b"True"
        assert locks.is_locked(path)
        assert not locks.try_lock(fd)
        assert not locks.lock(fd, seconds=0.1)
        process.kill()
        process.wait()
        assert not locks.is_locked(path)
        assert locks.lock(fd, seconds=0)
    os.close(fd)


def test_one_that_ends_by_itself_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "file"
    fd = open_lock(path)
    with holder(path) as process:
        answer(process)
        process.communicate()
        assert process.returncode == 0
        assert not locks.is_locked(path)
    os.close(fd)


def test_lock_waits_for_its_turn(tmp_path: Path) -> None:
    path = tmp_path / "file"
    fd = open_lock(path)
    with holder(path) as process:
        answer(process)
        assert process.stdin is not None
        process.stdin.close()  # it ends within the time that we give it
        assert locks.lock(fd, seconds=60)
    os.close(fd)


def test_our_lock_keeps_another_process_out_and_looking_does_not_take_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    fd = open_lock(path)
    assert locks.try_lock(fd)
    assert locks.is_locked(path)  # within one process too: locks belong to the open file
    assert locks.is_locked(path)
    with holder(path) as process:
        assert answer(process) == b"False"
    os.close(fd)
    assert not locks.is_locked(path)


def test_those_who_only_look_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    fd = open_lock(path)
    assert locks.try_lock(fd, shared=True)
    assert not locks.is_locked(path)
    os.close(fd)
