"""Configs that Hypothesis draws: each is a run or one clear line."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from benchmarks.faults.odd import odd_data
from benchmarks.faults.odd.random_configs import prepared, tried
from benchmarks.faults.odd.settings import commands
from benchmarks.faults.warm import Warm

pytestmark = pytest.mark.faults

FILES = [Path(tempfile.gettempdir(), "nnlab-odd-data", name) for name in odd_data.names()]


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    odd_data.write(FILES[0].parent)
    with prepared() as process:
        yield process


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(arguments=commands(FILES))
def test_a_run_or_one_clear_line(arguments: list[str], warm: Warm) -> None:
    ended, problems = tried(warm, arguments)
    assert not problems, (problems, ended.err)
