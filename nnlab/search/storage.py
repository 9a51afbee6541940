"""Storage: the data base that holds a study, and its address, whose password is nobody's but the data base's."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.exceptions import StorageInternalError
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from nnlab.errors import NnlabError
from nnlab.one_line import one_line
from nnlab.sweep.trials import Direction

PASSWORD = "NNLAB_STORAGE_PASSWORD"  # noqa: S105 - the name of the variable
FILE = "study.db"
_HIDDEN = "***"


def address(given: str | None, directory: Path) -> URL:
    """Return the URL of a storage; that of a file in the sweep's directory where none is given.

    A relative sqlite file is made absolute; ``postgresql://`` means psycopg 3. A password that was hidden is taken from
    the environment's ``NNLAB_STORAGE_PASSWORD``; without that it is left to the driver (``PGPASSWORD``, ``~/.pgpass``).

    Raises:
        NnlabError: it is no URL.
    """
    if given is None:
        return URL.create("sqlite", database=str(directory / FILE))
    try:
        url = make_url(given)
    except (SQLAlchemyError, ValueError):  # whose words may hold the password
        raise NnlabError(
            "hydra.sweeper.storage: it is no URL as SQLAlchemy takes it: sqlite:///FILE, postgresql://USER@HOST/NAME"
        ) from None
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        url = url.set(database=str(Path(url.database).expanduser().absolute()))
    elif url.get_backend_name() == "sqlite":
        raise NnlabError("hydra.sweeper.storage: a study in memory is gone when its process is: name a file")
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    hidden = [name for name, value in url.query.items() if value == _HIDDEN]
    if url.password == _HIDDEN or hidden:
        url = url.difference_update_query(hidden)._replace(password=os.environ.get(PASSWORD))
    return url


def shown(url: URL) -> str:
    """Return a URL as it may be seen and recorded."""
    secret = {name: _HIDDEN for name in url.query if "password" in name.lower()}
    return url.update_query_dict(secret).render_as_string(hide_password=True)


def open_study(url: URL, name: str, direction: Direction, *, is_there: bool = False) -> optuna.Study:
    """Open a study, and make it if there is none of that name.

    Args:
        url: of the storage.
        name: of the study.
        direction: of it.
        is_there: make nothing, neither study nor tables nor file: a plan that is gone on with may be somebody else's.

    Raises:
        NnlabError: the storage can't be reached, or holds no such study; one line.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it would announce each study
    if is_there and url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        raise NnlabError(f"{url.database}, the file that held the study {name}, is gone: put it back")
    with refusals(url):
        text = url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")  # a template
        storage = optuna.storages.RDBStorage(text, skip_table_creation=is_there)
        try:
            study = (
                optuna.load_study(study_name=name, storage=storage)
                if is_there
                else optuna.create_study(storage=storage, study_name=name, direction=direction, load_if_exists=True)
            )
        except KeyError as error:
            raise NnlabError(f"{shown(url)} holds no study {name} any more") from error
        if len(study.directions) > 1 or study.direction.name.lower() != direction:
            was = ", ".join(each.name.lower() for each in study.directions)
            raise NnlabError(
                f"hydra.sweeper.study_name={name}: there is a study of that name that is to {was}, not to {direction}"
            )
    return study


@contextmanager
def refusals(url: URL) -> Iterator[None]:
    """Turn what a data base or its driver refuses into one line, without the password.

    Raises:
        NnlabError: it refuses.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Optuna's experimental parts and of drivers: no user can mend them
            yield
    except ImportError as error:
        what = "pip install 'nnlab[postgres]'" if url.get_backend_name() == "postgresql" else "install its driver"
        raise NnlabError(
            f"hydra.sweeper.storage={shown(url)}: {url.get_driver_name()} is not installed: {what}"
        ) from error
    except (SQLAlchemyError, StorageInternalError) as error:
        reason = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
        words = one_line(str(getattr(reason, "orig", None) or reason))
        for secret in filter(None, (url.password, *(url.query[name] for name in url.query if "password" in name))):
            words = words.replace(str(secret), _HIDDEN)
        is_open = url.password is None and url.get_backend_name() != "sqlite"
        hint = f"; on resuming, a password is taken from {PASSWORD}" if is_open else ""
        raise NnlabError(f"hydra.sweeper.storage={shown(url)}: {words}{hint}", exit_code=1) from None
