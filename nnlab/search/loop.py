"""Loop: batch after batch is asked for, trained and told, from where a search stands to its last trial."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import optuna
from sqlalchemy.engine import URL

from nnlab import memory, runner
from nnlab.build import stack_key
from nnlab.config import Config
from nnlab.errors import NnlabError
from nnlab.search import answer, asking, telling
from nnlab.search.pruning import Pruning, has_ended
from nnlab.search.storage import refusals
from nnlab.sweep import course, frozen, hydra_record
from nnlab.sweep.plan import Sweep
from nnlab.sweep.progress import SweepProgress
from nnlab.sweep.resumption import launcher_settings
from nnlab.sweep.trials import Trial
from nnlab.sweep.workers import Task, train_all


def run(sweep: Sweep, study: optuna.Study, url: URL, *, resume: bool = False) -> None:
    """Do what is left of a search, conclude from it, and wait until all is in MLflow.

    Args:
        sweep: as it is frozen.
        study: in its storage.
        url: of that, for messages.
        resume: whether what its directories hold is gone on with.

    Raises:
        NnlabError: no trial has come to its end, or the storage can't be reached any more.
        KeyboardInterrupt: on Ctrl-C or SIGTERM, when all records are closed.
    """
    with refusals(url):
        course.run(sweep, functools.partial(_train, sweep, study, resume), answer.conclude)


def _train(sweep: Sweep, study: optuna.Study, resume: bool, parent: str) -> Sweep:
    assert sweep.search is not None  # noqa: S101 - it is a search
    settings = sweep.search.settings
    ended = sum(each.job is None or has_ended(each.job.directory) for each in sweep.planned)
    with SweepProgress(sweep.directory, "search", jobs=settings.n_trials * settings.seeds - ended) as progress:
        while True:
            assert sweep.search is not None  # noqa: S101
            known = telling.told(study, parent)
            batch = [trial for trial in sweep.search.trials if trial.number not in known]
            if not batch and len(sweep.search.trials) >= settings.n_trials:
                return sweep
            if not batch:
                sweep = asking.ask(sweep, study.get_trials(deepcopy=False))
                frozen.freeze(sweep)
                resume = False
                continue
            of_batch = _batch_of(sweep, batch[0])
            cohorts = cut(sweep, of_batch)
            _train_batch(sweep, study, cohorts, progress, parent, resume=resume)
            telling.tell(study, sweep, cohorts, parent, known)


def cut(sweep: Sweep, batch: Sequence[Trial]) -> list[list[Trial]]:
    """Cut a batch into cohorts: trials that are judged side by side, so that their runs have to share a stack.

    Successive halving compares what trains at the same time: a cohort is as many trials as are the fastest in one
    stack. To the median a trial is alone with those that came before. It does not depend on the number of workers.
    """
    assert sweep.search is not None  # noqa: S101
    settings = sweep.search.settings
    if settings.pruner != "successive_halving":
        return [[trial] for trial in batch]
    groups: dict[str, list[Trial]] = {}
    for trial in batch:
        job = sweep.planned[trial.runs[0]].job
        groups.setdefault(stack_key(job.config) if job else "", []).append(trial)
    most = launcher_settings(sweep).get("max_stack")
    cohorts = []
    for group in groups.values():
        configs = [job.config for trial in group for run in trial.runs if (job := sweep.planned[run].job)]
        size = max(1, min(_best_stack(configs), most or len(configs)) // settings.seeds) if configs else len(group)
        parts = -(-len(group) // size)
        cohorts += [group[len(group) * at // parts : len(group) * (at + 1) // parts] for at in range(parts)]
    return cohorts


def _best_stack(configs: Sequence[Config]) -> int:
    try:
        return memory.best_stack(configs)
    except (NnlabError, MemoryError):  # it can't be built any more: whoever trains it says so
        return 1


def _batch_of(sweep: Sweep, trial: Trial) -> list[Trial]:
    """Return the trials that were asked for together with one; some may have been told before a kill."""
    assert sweep.search is not None  # noqa: S101
    size = sweep.search.settings.batch
    first = trial.number // size * size
    return list(sweep.search.trials[first : first + size])


def _train_batch(
    sweep: Sweep,
    study: optuna.Study,
    cohorts: Sequence[Sequence[Trial]],
    progress: SweepProgress,
    parent: str,
    *,
    resume: bool,
) -> None:
    assert sweep.search is not None  # noqa: S101
    settings, seen = sweep.search.settings, cohorts[0][0].seen
    judge = None
    if settings.pruner != "none":
        places: list[list[list[Path]]] = [[telling.directories(sweep, trial) for trial in each] for each in cohorts]
        judge = Pruning(settings, asking.finished(study.get_trials(deepcopy=False)[:seen]), places)
    tasks = []
    for unit, cohort in enumerate(cohorts):
        for each in (sweep.planned[number] for trial in cohort for number in trial.runs):
            if each.job is not None and not (resume and has_ended(each.job.directory)):
                name = each.name or runner.default_name(each.job)
                tasks.append(Task(each.number, each.job, each.job.directory, name, unit=unit if judge else None))
    if tasks:
        train_all(
            tasks,
            parent=parent,
            progress=progress,
            resume=resume,
            begin=lambda task: hydra_record.write(task.directory, sweep.planned[task.number]),
            judge=judge,
            **launcher_settings(sweep),
        )
