"""Archives that were damaged on their way: each is refused in one line, and nothing of it comes in."""

import contextlib
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nnlab.errors import NnlabError
from nnlab.portable import importing, seal
from tests.portable.conftest import Machine, Machines
from tests.portable.records import run, sweep, tree


@pytest.fixture
def home(machine: Machines) -> Machine:
    home = machine("home")
    run(home.outputs / "runs" / "a", "a", ended=None)
    sweep(home.outputs / "sweeps" / "s", "s", 1)
    return home


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
@example(place=0.0, change=1)
@example(place=1 - 1e-9, change=1)
def test_any_other_byte_is_refused(home: Machine, machine: Machines, place: float, change: int) -> None:
    file = home.outputs.parent / "whole.zip"
    if not file.exists():
        home.nnlab("export", home.outputs / "runs" / "a", home.outputs / "sweeps" / "s", "-o", file)
    data = bytearray(file.read_bytes())
    data[int(place * len(data))] ^= change
    (damaged := file.with_name("damaged.zip")).write_bytes(data)
    away = machine("away")
    assert "damaged.zip" in away.nnlab("import", damaged, code=2)
    assert not away.outputs.exists()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kept=st.floats(0, 1, exclude_max=True), more=st.binary(max_size=100))
def test_what_is_cut_off_or_longer_is_refused(home: Machine, machine: Machines, kept: float, more: bytes) -> None:
    file = home.outputs.parent / "whole.zip"
    if not file.exists():
        home.nnlab("export", home.outputs / "runs" / "a", "-o", file)
    data = file.read_bytes()
    (damaged := file.with_name("damaged.zip")).write_bytes(data[: int(kept * len(data))] + more)
    away = machine("away")
    assert "damaged.zip" in away.nnlab("import", damaged, code=2)
    assert not away.outputs.exists()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_a_seal_made_anew_helps_nobody(
    home: Machine, machine: Machines, place: float, change: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever changes a byte on purpose can seal it again: then it is refused, or no byte of a run is another."""
    monkeypatch.setattr(seal, "check", lambda *_: None)
    file = home.outputs.parent / "whole.zip"
    if not file.exists():
        home.nnlab("export", home.outputs / "runs" / "a", home.outputs / "sweeps" / "s", "-o", file)
        machine("expected").nnlab("import", file)
    data = bytearray(file.read_bytes())
    data[int(place * len(data))] ^= change
    (damaged := file.with_name("damaged.zip")).write_bytes(data)
    away = machine(f"away-{zlib.crc32(data)}")
    monkeypatch.setenv("NNLAB_OUTPUTS", str(away.outputs))
    with contextlib.suppress(NnlabError):
        importing.bring_in(damaged)
    assert not away.outputs.exists() or tree(away.outputs) == tree(machine("expected").outputs)


def test_what_is_no_archive_is_said_to_be_none(home: Machine, machine: Machines, tmp_path: Path) -> None:
    away = machine("away")
    (tmp_path / "empty").touch()
    for path, said in (
        (tmp_path / "nowhere.zip", "No such file"),
        (tmp_path, "is a folder"),
        (tmp_path / "empty", "no archive that `nnlab export` has made"),
        (home.outputs / "runs" / "a" / "journal.jsonl", "no archive that `nnlab export` has made"),
    ):
        assert said in away.nnlab("import", path, code=2)
    assert not away.outputs.exists()
