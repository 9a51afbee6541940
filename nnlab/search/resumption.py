"""Resumption of a search: the same study, the same trials, to the same number of them."""

from __future__ import annotations

import itertools

from hydra.errors import HydraException

from nnlab import journal, resuming
from nnlab.errors import NnlabError
from nnlab.mirroring import say_where
from nnlab.output import say
from nnlab.search import jobs, loop, space, storage, telling
from nnlab.sweep import course
from nnlab.sweep.plan import Sweep
from nnlab.sweep.resumption import wait_for_others
from nnlab.sweep.run_resumption import check_links, check_unchanged, readable
from nnlab.sweep.trials import Search


def resume_search(sweep: Sweep, retry_failed: bool) -> None:
    """Finish a search: interrupted runs from their checkpoints, then what is left to be asked for.

    Args:
        sweep: as it was frozen.
        retry_failed: refused, as failed trials have been told.

    Raises:
        NnlabError: it can't be gone on with; nothing has been changed then. Or no trial is complete.
        KeyboardInterrupt: on Ctrl-C or SIGTERM, when the records are closed.
    """
    search = sweep.search
    assert search is not None  # noqa: S101 - the caller has looked
    settings = search.settings
    if retry_failed:
        raise NnlabError("--retry-failed: the study knows of a search's failed trials; a new search can ask for others")
    with readable(sweep.directory):
        _check_trials(search)
        wait_for_others(sweep)
        url = storage.address(settings.storage, sweep.directory)
        begun = (sweep.directory / journal.NAME).is_file()
        record = journal.read(sweep.directory) if begun else None
        every = (*search.bases, *sweep.planned)
        configs = [(each.job.config, each.data_hash) for each in every if each.job is not None]
        check_links(sweep.directory)
        check_unchanged(sweep.directory, configs, sweep.code_version)
        name = settings.study_name or sweep.directory.name
        study = storage.open_study(url, name, settings.way, is_there=True)
        with storage.refusals(url):
            known = telling.told(study, record.run["run_id"]) if record and record.run else {}
        if len(known) >= settings.n_trials and record and record.status in ("FINISHED", "FAILED"):
            course.wait(sweep, course.entries(sweep))
            say(f"nothing to do: all {settings.n_trials} trials have ended")
            return
        damage = [problem for each in sweep.planned if each.job for problem in resuming.damage(each.job.directory)]
    say_where(course.config(sweep).tracking.enabled)
    say(f"sweep    {sweep.directory}")
    say(f"study    {study.study_name} in {storage.shown(url)}")
    say(f"trials   {settings.n_trials}: {len(known)} have ended, {len(search.trials) - len(known)} were under way")
    for problem in damage:
        say(f"damaged  {problem}: its job goes on from an earlier checkpoint, or begins again")
    loop.run(sweep, study, url, resume=True)


def _check_trials(search: Search) -> None:
    """See to it that a plan's trials are of its space, and that there is a base for each of them.

    Raises:
        ValueError: they are not, or there is none.
    """
    try:
        dimensions = space.dimensions(search.space)
    except HydraException as error:
        raise ValueError(str(error)) from error
    of_group = [each for each in dimensions if each.key in search.groups]
    for chosen in itertools.product(*([(each.key, end) for end in each.ends] for each in of_group)):
        jobs.find_base(search, dimensions, dict(chosen))
    for trial in search.trials:
        if trial.params.keys() != {each.key for each in dimensions}:
            raise ValueError(f"trial {trial.number} is not of the space")
        for each in dimensions:
            value = each.distribution.to_internal_repr(trial.params[each.key])
            if not each.distribution._contains(value):
                raise ValueError(f"trial {trial.number}: {each.key} is not of the space")
