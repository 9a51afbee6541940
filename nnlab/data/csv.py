"""A user's own table: a CSV file with a line of column names."""

import difflib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from nnlab.data.dataset import Dataset, hash_arrays
from nnlab.data.labels import encode_labels
from nnlab.data.splits import choose, stratified, whole
from nnlab.data.user_file import user_file
from nnlab.errors import NnlabError

if TYPE_CHECKING:
    import pandas as pd


MAX_COLUMNS = 10_000
MAX_LINE = 1 << 20  # bytes: a hundred for each of so many columns


def csv(
    *,
    path: str | None = None,
    target: str | None = None,
    delimiter: str = ",",
    split: Literal["stratified", "whole"] = "stratified",
    standardize: bool = True,
) -> Dataset:
    r"""A table of numbers with a column of classes, x float64 [rows, columns - 1], y [rows].

    The classes are sorted (numbers by size, text by its code points) and named by what stands in the file. Empty cells
    and those that say NA, NaN, null or None are missing values, which are refused.

    Args:
        path: of a UTF-8 file; relative to the current directory, ``~`` is the home directory.
        target: name of the column of classes, numbers or text; all other columns are features and must be numbers.
        delimiter: one character between the cells, or ``\t`` for a tab.
        split: ``stratified`` is 60/20/20, drawn from the run's split stream; ``whole`` trains and reports on all rows.
        standardize: subtract the mean and divide by the standard deviation of the training part.

    Returns:
        The data set.

    Raises:
        NnlabError: an argument or the table is not usable, named as ``dataset.<argument>``.
    """
    file = user_file(path, "CSV file")
    separator = "\t" if delimiter == r"\t" else delimiter
    if len(separator) != 1 or separator in '"\r\n ':
        raise NnlabError(f"dataset.delimiter: csv needs one character (no space or quote), got {delimiter!r}")
    _check_lines(file, separator)
    table = _read(file, separator)
    columns = list(table.columns)
    if target not in columns:
        raise NnlabError(_no_target(target, file, columns))
    if len(columns) == 1:
        raise NnlabError(f"dataset.target: {file} has no column besides {target!r}; is dataset.delimiter right?")
    _check_missing(table, file)
    features = table.drop(columns=target)
    x = np.ascontiguousarray(np.stack([_numbers(features[name], file) for name in features], axis=1))
    y, class_names = encode_labels(_labels(table[target]), f"dataset.target: column {target!r} of {file}", split)
    return Dataset(
        name="csv",
        x=x,
        y=y,
        class_names=class_names,
        feature_names=tuple(features.columns),
        standardize=standardize,
        splitter=choose("csv", split, {"stratified": stratified(y), "whole": whole(len(y))}),
        data_hash=hash_arrays(x, y),
        source=f"{file}, target {target}",
    )


def _check_lines(file: Path, separator: str) -> None:
    """Refuse what pandas would take minutes and gigabytes for before it says that it is no table."""
    length = 0  # of the line that the last chunk ended in
    try:
        with file.open("rb") as stream:
            columns = stream.readline(MAX_LINE).partition(b"\r")[0].count(separator.encode()) + 1
            stream.seek(0)
            while chunk := stream.read(1 << 20).replace(b"\r", b"\n"):
                if b"\0" in chunk:
                    raise NnlabError(f"dataset.path: {file} is no UTF-8 text: it has null bytes")
                first = chunk.find(b"\n")
                length += len(chunk) if first < 0 else first
                if length > MAX_LINE:
                    raise NnlabError(f"dataset.path: {file} has a line of more than {MAX_LINE:,} bytes; is it a table?")
                if first >= 0:
                    length = len(chunk) - chunk.rfind(b"\n") - 1
    except OSError as error:
        raise NnlabError(f"dataset.path: cannot read {file}: {error.strerror}") from error
    if columns > MAX_COLUMNS:
        raise NnlabError(f"dataset.path: {file} has over {MAX_COLUMNS:,} columns; so many are read as dataset=npz only")


def _read(file: Path, separator: str) -> "pd.DataFrame":
    """Read the table; columns are named exactly as in the file, and every row must fit them."""
    import pandas as pd

    shared: dict[str, Any] = {"sep": separator, "skipinitialspace": True, "encoding": "utf-8", "index_col": False}
    try:
        with file.open("rb") as stream:  # a stream: pandas would unpack and download what a name asks for
            header = pd.read_csv(stream, header=None, nrows=1, dtype=str, keep_default_na=False, **shared)
        names = [str(name).strip() for name in header.iloc[0]]
        _check_names(names, file)
        with file.open("rb") as stream, warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table: pd.DataFrame = pd.read_csv(stream, header=0, names=names, low_memory=False, **shared)
    except OSError as error:
        raise NnlabError(f"dataset.path: cannot read {file}: {error.strerror}") from error
    except pd.errors.EmptyDataError as error:
        raise NnlabError(f"dataset.path: {file} is empty") from error
    except UnicodeDecodeError as error:
        raise NnlabError(f"dataset.path: {file} is no UTF-8 text: {error.reason}") from error
    except pd.errors.ParserWarning as error:
        raise NnlabError(f"dataset.path: {file} has rows of more cells than its {len(names)} columns") from error
    except pd.errors.ParserError as error:
        reason = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise NnlabError(f"dataset.path: {file} cannot be read as a table: {reason}") from error
    if table.empty:
        raise NnlabError(f"dataset.path: {file} has column names but no rows")
    return table


def _check_names(names: Sequence[str], file: Path) -> None:
    if any("\0" in name for name in names):
        raise NnlabError(f"dataset.path: {file} is no UTF-8 text: it has null bytes")
    if "" in names:
        raise NnlabError(
            f"dataset.path: column {names.index('') + 1} of {file} has no name; give it one, or drop it if it only "
            "numbers the rows"
        )
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise NnlabError(f"dataset.path: {file} has {names.count(twice)} columns named {twice!r}")


def _no_target(target: str | None, file: Path, columns: Sequence[str]) -> str:
    hint = "; is dataset.delimiter right?" if len(columns) == 1 else ""
    choices = f"the columns of {file} are {_some(columns)}{hint}"
    if target is None:
        return f"dataset.target: name the column of the classes; {choices}"
    meant = difflib.get_close_matches(target, columns, n=1)
    return f"dataset.target: no column {target!r}{f', did you mean {meant[0]!r}?' if meant else ''}; {choices}"


def _check_missing(table: "pd.DataFrame", file: Path) -> None:
    missing = table.isna().to_numpy()
    counts = missing.sum(axis=0)
    if not counts.any():
        return
    column = int(np.flatnonzero(counts)[0])
    first, total = int(missing[:, column].argmax()) + 1, int((counts > 0).sum())
    others = f" ({total - 1} other columns have some too)" if total > 1 else ""
    raise NnlabError(
        f"dataset.path: column {table.columns[column]!r} of {file} has {counts[column]} missing values (empty, NA, "
        f"NaN, null, None), the first in data row {first}{others}; fill them in or drop the rows"
    )


def _numbers(column: "pd.Series[Any]", file: Path) -> NDArray[np.float64]:
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    strange = np.flatnonzero(~np.isfinite(numbers))
    if not len(strange):
        return numbers
    row = int(strange[0])
    what, how = ("text", "encode it or drop the column")
    if np.isinf(numbers[row]):
        what, how = ("an infinite value", "mend it or drop the row")
    raise NnlabError(
        f"dataset.path: column {column.name!r} of {file} holds {what} ({str(column.iloc[row])[:40]!r} in data row "
        f"{row + 1}), and features are finite numbers; {how}"
    )


def _labels(column: "pd.Series[Any]") -> NDArray[Any]:
    values = column.to_numpy()
    return values if values.dtype.kind in "buif" else values.astype(str)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:20])
    return f"{shown}, ... ({len(names)} in all)" if len(names) > 20 else shown
