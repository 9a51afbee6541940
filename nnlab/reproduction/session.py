"""Session: one ``nnlab reproduce`` of experiments, which a second call goes on with if the first was interrupted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from nnlab import paths
from nnlab.build import build
from nnlab.compose import Job, stamp
from nnlab.errors import NnlabError, naming
from nnlab.reproduction import metrics
from nnlab.reproduction.claims import Protocol
from nnlab.reproduction.earning import Row, earn
from nnlab.reproduction.experiments import Experiment, jobs
from nnlab.signals import interruptible

Todo = tuple[Experiment, str, Protocol, list[Job]]


class Session:
    """What was asked for, and which sweeps it has trained into so far.

    Args:
        what: it was asked for as; an interrupted session of that name is gone on with.
        experiments: whose figures are to be re-earned.
        trusted: targets that a file which nnlab doesn't ship may name.

    Raises:
        NnlabError: an experiment can't be composed or built, or its runs will not have what it claims.
    """

    def __init__(self, what: str, experiments: Sequence[Experiment], trusted: Collection[str] = ()) -> None:
        path = Path(what)
        name = f"{path.stem}-{hashlib.sha256(bytes(path.resolve())).hexdigest()[:8]}" if path.is_file() else what
        self.state = paths.outputs_dir() / "reproductions" / f"{name}.json"
        self.sweeps = self._unfinished()
        self.todo: list[Todo] = [
            (each, *named, jobs(each, named[1], trusted)) for each in experiments for named in each.protocols()
        ]
        for experiment, _, protocol, its_jobs in self.todo:  # all of them, before the first one trains
            try:
                stack = build([its_jobs[0].config])
                for figure in protocol.figures:
                    metrics.check(figure, stack)
            except NnlabError as error:
                raise NnlabError(f"{experiment.path}: {error}") from error

    def earn(self, say: Callable[[str], None]) -> list[Row]:
        """Train what is missing, and return a row for each protocol, honest ones behind those that they stand beside.

        Raises:
            NnlabError: something can't be trained.
            KeyboardInterrupt: on Ctrl-C or SIGTERM; what has finished is kept.
        """
        if self.sweeps:
            say(f"going on with {self.state}, which was interrupted; finished runs are kept")
        rows = []
        for experiment, name, protocol, its_jobs in self.todo:
            self.sweeps.setdefault(name, f"{stamp()}-{name}")
            self._write(finished=False)
            sweep = paths.outputs_dir() / "sweeps" / self.sweeps[name]
            say(f"{name}: {len(protocol.seeds)} {'seeds' if len(protocol.seeds) > 1 else 'seed'} in {sweep}")
            try:
                with interruptible():
                    rows.append(earn(experiment, name, protocol, its_jobs, sweep))
            except KeyboardInterrupt:
                say("interrupted: finished runs are kept, and the same command goes on where it was")
                raise
            for each in rows[-1].earned:
                say(f"{name}: {each.figure.name} {each}")
        return rows

    def finish(self) -> None:
        """Note that the result has been handed over: the next session begins anew."""
        self._write(finished=True)

    def _unfinished(self) -> dict[str, str]:
        """Return the sweeps of the last session, if it was interrupted."""
        if not self.state.exists():
            return {}
        try:
            saved = json.loads(self.state.read_text(encoding="utf-8"))
            sweeps = {} if saved["finished"] else {str(name): str(sweep) for name, sweep in saved["sweeps"].items()}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise NnlabError(f"{self.state} is damaged; delete it, and all is trained anew") from error
        if any(Path(sweep).name != sweep for sweep in sweeps.values()):
            raise NnlabError(f"{self.state} is damaged: it names no sweeps; delete it, and all is trained anew")
        return sweeps

    def _write(self, *, finished: bool) -> None:
        self.state.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.state.with_suffix(".tmp")
        with naming(temporary):
            temporary.write_text(json.dumps({"finished": finished, "sweeps": self.sweeps}, indent=2), encoding="utf-8")
        temporary.replace(self.state)
