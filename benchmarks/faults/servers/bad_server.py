"""Bad server: one that answers slowly, with errors, with garbage, or drops connections, until it gets well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from benchmarks.faults import roots
from benchmarks.faults.fault import Effort, Fault, Found, each
from benchmarks.faults.servers.bad_proxy import KINDS, Proxy
from benchmarks.faults.servers.mlflow_server import HOST, Server
from benchmarks.faults.servers.tracked_trainer import MOST, Tracked, again, outputs_root
from benchmarks.sweeps.processes import Sampler

_AT_A_TIME = 8
_MEMORY = 500 << 20  # bytes that a tracker may take; the imports alone are 200 MB
_LOG = 20_000  # bytes that it may say
_SHORT_MOST = 100.0  # percent: with epochs of a few milliseconds it says nothing
_TIMEOUT = "5"  # seconds; less than the slow proxy takes sometimes
_BAD = {"slow": (10, 20)}  # requests until it is well, where not 30 to 80
_TO_THE_END = 1_000_000  # requests: half of the whole trials' servers get well only when the trainer has left
_RUN = ("dataset=moons", "training.batch_size=1", "training.log_every_updates=500")


@dataclass(frozen=True)
class _Trial:
    kind: str
    seed: int
    bad: int
    is_whole: bool


@dataclass(frozen=True)
class _Seen:
    kind: str
    spoilt: int
    by_itself: bool
    memory: int
    seconds: float
    share: float


def _spoil(trial: _Trial, seen: list[_Seen]) -> Iterator[str]:
    """Train through a proxy that spoils what it can, and yield what is wrong when it is well again."""
    secret = f"s3cret{trial.seed}"
    with roots.root(is_tracked=True) as folder, outputs_root(in_memory=not trial.is_whole) as outputs:
        server = Server(folder)
        server.start()
        try:
            with Proxy(trial.kind, server.port, trial.bad, trial.seed) as proxy:
                tracked = Tracked(outputs, f"http://ada:{secret}@{HOST}:{proxy.port}", _TIMEOUT)
                with Sampler(outputs) as sampler:
                    yield from _train(trial, tracked, proxy)
                by_itself = "mirrored into MLflow" in tracked.said()
                memory = sampler.peak("tracker")
                seconds, share = max(tracked.trained(), default=(0.0, 0.0))
                seen.append(_Seen(trial.kind, proxy.spoilt, by_itself, memory, seconds, share))
                if memory > _MEMORY:
                    yield f"the tracker took {memory >> 20} MB"
                yield from _all_there(tracked, server, by_itself=by_itself)
                log = tracked.tracker_log()
                if len(log) > _LOG or secret in log or "Traceback" in log:
                    yield f"the tracker's log has {len(log)} bytes: {log[-300:]}"
        finally:
            server.kill()


def _train(trial: _Trial, tracked: Tracked, proxy: Proxy) -> Iterator[str]:
    size = ("dataset.samples=16000", "training.epochs=25") if trial.is_whole else ("training.epochs=20",)
    wait = 20 if not trial.is_whole else 10 if trial.bad == _TO_THE_END else 120
    trainer = tracked.train(*_RUN, *size, f"seed={trial.seed}", f"tracking.wait_seconds={wait}")
    if code := trainer.wait():
        yield f"the trainer ended with {code}: {tracked.said()[-300:]}"
    proxy.get_well()
    yield from tracked.standing_still(MOST if trial.is_whole else _SHORT_MOST)


def _all_there(tracked: Tracked, server: Server, *, by_itself: bool) -> Iterator[str]:
    if not by_itself:
        code, said = tracked.sync()
        if code or "1 run is mirrored" not in said:
            yield f"nnlab sync ended with {code}: {said[-300:]}"
    yield from server.problems(tracked.directories())
    content = server.content()
    code, said = tracked.sync()
    if code:
        yield f"a second nnlab sync ended with {code}: {said[-300:]}"
    yield from again(content, server.content())


def _inject(effort: Effort) -> Found:
    count = effort.times or len(KINDS)
    draw = effort.draw()
    is_whole = count > len(KINDS)
    trials = []
    for number in range(count):
        kind = [*KINDS][number % len(KINDS)]
        bad = draw.randint(*_BAD.get(kind, (30, 80))) if number % (2 * len(KINDS)) < len(KINDS) else _TO_THE_END
        trials.append(_Trial(kind, draw.randrange(1_000_000), bad, is_whole))
    seen: list[_Seen] = []
    found = each(lambda trial: list(_spoil(trial, seen)), trials, Effort(count, effort.seed, _AT_A_TIME))
    shares, seconds = [one.share for one in seen] or [0.0], [one.seconds for one in seen] or [0.0]
    spoilt = Counter[str]()
    for one in seen:
        spoilt[one.kind] += one.spoilt
    found.notes += [
        f"Requests spoilt: {', '.join(f'{count} ({kind})' for kind, count in sorted(spoilt.items()))}.",
        f"In {sum(one.by_itself for one in seen)} of {len(seen)} trials all was in MLflow before the trainer left; "
        "in the others `nnlab sync` brought the rest.",
        f"The largest tracker had {max((one.memory for one in seen), default=0) >> 20} MB. No trainer made a network "
        f"call; of its time it spent {max(shares):.2f} % in recording at most, {median(shares):.2f} % in the median.",
        f"They trained for {min(seconds):.0f} to {max(seconds):.0f} s, {_AT_A_TIME} at a time.",
    ]
    return found


FAULT = Fault(
    "The tracking server answers slowly, with errors, with garbage, or drops connections half way, 20 times each",
    "trainer blocked in recording calls, its checkpoints included, under 1 % of its time (not judged in the short "
    "version), all there once when the server is well again, a second sync adds 0 rows",
    _inject,
    times=80,
    short=4,
)
