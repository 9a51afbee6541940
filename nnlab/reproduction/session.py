"""Session: one ``nnlab reproduce`` of experiments, which a second call goes on with if the first was interrupted."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from nnlab import paths
from nnlab.compose import stamp
from nnlab.errors import NnlabError
from nnlab.reproduction.earning import Row, earn
from nnlab.reproduction.experiments import Experiment, jobs
from nnlab.reproduction.report import describe


def reproduce_experiments(
    what: str, experiments: Sequence[Experiment], say: Callable[[str], None], trusted: Collection[str] = ()
) -> list[Row]:
    """Re-earn every figure of some experiments.

    Args:
        what: they were asked for as; an interrupted session of that name is gone on with.
        experiments: whose figures.
        say: prints a line.
        trusted: targets that a file which nnlab doesn't ship may name.

    Returns:
        a row for each protocol, an honest one behind the one that it stands beside.

    Raises:
        NnlabError: an experiment can't be composed or trained.
        KeyboardInterrupt: on Ctrl-C; what has finished is kept.
    """
    state = paths.outputs_dir() / "reproductions" / f"{Path(what).stem}.json"
    sweeps = _unfinished(state)
    if sweeps:
        say(f"going on with {state.name}, which was interrupted; finished runs are kept")
    rows = []
    # All are composed before the first one trains.
    todo = [(each, *named, jobs(each, named[1], trusted)) for each in experiments for named in each.protocols()]
    for experiment, name, protocol, its_jobs in todo:
        sweeps.setdefault(name, f"{stamp()}-{name}")
        _write(state, {"finished": False, "sweeps": sweeps})
        sweep = paths.outputs_dir() / "sweeps" / sweeps[name]
        say(f"{name}: {len(protocol.seeds)} seeds in {sweep}")
        rows.append(earn(experiment, name, protocol, its_jobs, sweep))
        for each in rows[-1].earned:
            say(f"{name}: {each.figure.name} {describe(each)}: {each.verdict}")
    _write(state, {"finished": True, "sweeps": sweeps})
    return rows


def _unfinished(state: Path) -> dict[str, str]:
    """Return the sweeps of the last session, if it was interrupted."""
    if not state.exists():
        return {}
    try:
        saved = json.loads(state.read_text(encoding="utf-8"))
        return {} if saved["finished"] else dict(saved["sweeps"])
    except (ValueError, TypeError, KeyError) as error:
        raise NnlabError(f"{state} is damaged; delete it, and all is trained anew") from error


def _write(state: Path, saved: dict[str, object]) -> None:
    state.parent.mkdir(parents=True, exist_ok=True)
    temporary = state.with_suffix(".tmp")
    temporary.write_text(json.dumps(saved, indent=2), encoding="utf-8")
    temporary.replace(state)
