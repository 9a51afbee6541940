"""Random configurations, one after the other, through the real entry point."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import Queue

from hypothesis import HealthCheck, Phase, given, seed, settings

from benchmarks.faults.fault import Effort, Fault, Found, each
from benchmarks.faults.odd import odd_data
from benchmarks.faults.odd.settings import commands
from benchmarks.faults.warm import Ended, Warm

SECONDS = 20.0  # that a short run may take on a busy machine
_ENDLESS, _PATIENCE = "=1000000000000", 2.0  # so many epochs are a run that is interrupted after so many seconds
_COLD = 100  # each so many-th command is given in a process of its own too
_LONGEST = 1500  # characters of a message
_DATA = Path(tempfile.gettempdir()) / "nnlab-odd-data"  # one place, so that one seed gives the same command lines


def drawn(number: int, of_seed: int, files: list[Path]) -> list[list[str]]:
    """Return as many command lines, the same ones for the same seed."""
    found: list[list[str]] = []

    @seed(of_seed)
    @settings(
        max_examples=number,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(commands(files))
    def take(arguments: list[str]) -> None:
        found.append(arguments)

    take()
    return found


@contextmanager
def prepared(environment: dict[str, str] | None = None) -> Iterator[Warm]:
    """Give a warm process in a folder of its own; what it would download is there, though not what it should be."""
    with tempfile.TemporaryDirectory(prefix="nnlab-configs-") as folder, Warm(Path(folder), environment) as warm:
        for name in ("mnist", "fashion_mnist"):
            for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
                file = Path(folder) / "data" / name / f"{part}-ubyte"
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(b"\0")
        yield warm


def tried(warm: Warm, arguments: list[str]) -> tuple[Ended, list[str]]:
    """Give a command, and return how it ended and what is wrong with that, a line each."""
    is_endless = any(argument.endswith(_ENDLESS) for argument in arguments)
    ended = warm.run(arguments, SECONDS, _PATIENCE if is_endless else None)
    problems = [*_problems(ended, warm, is_endless)]
    _tidy(warm)
    return ended, problems


def _tidy(warm: Warm) -> None:
    """Remove what a command has left, which would be taken for the next one's."""
    for folder in (warm.outputs, warm.work):
        for path in folder.iterdir() if folder.exists() else ():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _problems(ended: Ended, warm: Warm, is_endless: bool) -> Iterator[str]:
    statuses = [_status(path) for path in warm.folder.glob("*/**/journal.jsonl")]
    lines = ended.err.splitlines()
    if ended.code is None:
        yield f"it hangs: no end after {SECONDS:.0f} s; {ended.err[-300:]!r}"
    elif ended.code not in (0, 1, 2) and not (ended.code == 130 and is_endless):
        yield f"exit code {ended.code}: {ended.err[-300:]!r}"
    if "Traceback" in ended.err or "Traceback" in ended.out:
        yield f"a traceback: {(lines or ended.out.splitlines())[-1]!r}"
    elif ended.code == 0 and lines:
        yield f"beside a run that went well: {ended.err[:300]!r}"
    elif ended.code and (len(lines) != 1 or not lines[0].startswith("nnlab: ")):
        yield f"not one line with exit code {ended.code}: {ended.err[:400]!r}"
    elif ended.code and (len(lines[0]) > _LONGEST or not lines[0].isprintable()):
        yield f"a line that nobody can read: {ended.err[:200]!r}"
    for status in statuses:
        yield from _run_problems(status, ended, is_endless)
    if ended.code == 2 and statuses:
        yield f"refused, and yet {len(statuses)} journals were begun: {ended.err[:300]!r}"


def _status(path: Path) -> tuple[str, str]:
    lines = path.read_bytes().splitlines()
    last = json.loads(lines[-1]) if lines else {"status": "NONE"}  # interrupted before it had begun
    return last.get("status", "RUNNING"), last.get("reason") or ""


def _run_problems(status: tuple[str, str], ended: Ended, is_endless: bool) -> Iterator[str]:
    word, reason = status
    if word == "RUNNING":
        yield "a journal is left RUNNING"
    if word == "KILLED" and not is_endless:
        yield f"the run is KILLED: {reason}"
    if word == "FAILED" and ended.code == 0:
        yield f"exit code 0, and the run FAILED: {reason}"
    # A reason that begins with the name of an exception is a mistake of ours: what a user can mend has words for it.
    if re.match(r"\w+(Error|Exception|Warning|Interrupt)\b", reason):
        yield f"the run FAILED by a mistake of ours: {reason[:300]!r}"


def _inject(effort: Effort) -> Found:
    cases = drawn(effort.times or 1, effort.seed, odd_data.write(_DATA))
    ends: Counter[str] = Counter()
    slowest = [0.0]
    with ExitStack() as stack:
        idle: Queue[Warm] = Queue()
        for _ in range(effort.jobs):
            idle.put(stack.enter_context(prepared()))

        def trial(case: tuple[int, list[str]]) -> list[str]:
            number, arguments = case
            warm = idle.get()
            try:
                ended, problems = tried(warm, arguments)
                if number % _COLD == _COLD - 1 and not problems:
                    problems = _cold(warm, arguments, ended)
            finally:
                idle.put(warm)
            ends[_END.get(ended.code or 0, "ended otherwise")] += 1
            slowest[0] = max(slowest[0], ended.seconds)
            return problems

        found = each(trial, [*enumerate(cases)], effort)
    shown = ", ".join(f"{number:,} {end}" for end, number in ends.most_common())
    found.notes += [f"{shown}; the slowest took {slowest[0]:.1f} s."]
    if len(cases) >= _COLD:
        found.notes += [f"{len(cases) // _COLD} of them were given again, each in a process of its own, as a check."]
    return found


def _cold(warm: Warm, arguments: list[str], forked: Ended) -> list[str]:
    """Give a command in a process of its own, which should end as the fork did."""
    own = warm.cold(arguments, 3 * SECONDS)
    _tidy(warm)
    if forked.code == 130 or (own.code, _said(own)) == (forked.code, _said(forked)):
        return []
    return [f"in a process of its own it ends otherwise: {own.code} {own.err[:200]!r}, and {forked.err[:200]!r}"]


def _said(ended: Ended) -> str:
    """Return what a command complained of, without what is another one's each time."""
    return re.sub(r"\d{4}-\d\d-\d\d_[\w-]+", "", ended.err)


_END = {0: "trained", 1: "trained and FAILED", 2: "were refused in one line", 130: "were interrupted after a while"}

FAULT = Fault(
    "configurations drawn at random: groups, choices, keys and values that fit, nearly fit or are nonsense, data files "
    "of odd shapes, sweeps, oddities of the override grammar",
    "a run, or one clear line; never a traceback, a warning, a hang, or a journal left RUNNING",
    _inject,
    times=2000,
    short=3,  # tests/faults/test_random_configs.py has 300 of Hypothesis's choice
)
