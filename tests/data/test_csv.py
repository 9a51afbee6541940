from __future__ import annotations

import gzip
import math
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlab.data import csv, hash_arrays
from nnlab.errors import NnlabError

if TYPE_CHECKING:
    from pathlib import Path

FLOWERS = """\
length, width,species,ripe
1.5,2,setosa,True
0.1,-3e2,virginica,False
2.5,4,setosa,True
3.5,5,virginica,False
4.5,6,setosa,True
5.5,7,virginica,True
"""


def write(folder: Path, content: str | bytes, name: str = "table.csv") -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def refusal(folder: Path, content: str | bytes, **arguments: Any) -> str:
    with pytest.raises(NnlabError) as error:
        csv(**{"path": write(folder, content), "target": "y", **arguments})
    message = str(error.value)
    assert "\n" not in message
    assert error.value.exit_code == 2
    return message.replace(f"{folder}/", "")


def labelled(targets: list[Any], rows: int = 1) -> str:
    """A table of one feature and the target y."""
    return "x,y\n" + "".join(f"{number},{target}\n" for number, target in enumerate(targets * rows))


def test_a_table_with_a_column_of_text_as_target(tmp_path: Path) -> None:
    data = csv(path=write(tmp_path, FLOWERS), target="species")
    assert data.feature_names == ("length", "width", "ripe")
    assert data.class_names == ("setosa", "virginica")
    np.testing.assert_array_equal(
        data.x, [[1.5, 2, 1], [0.1, -300, 0], [2.5, 4, 1], [3.5, 5, 0], [4.5, 6, 1], [5.5, 7, 1]]
    )
    np.testing.assert_array_equal(data.y, [0, 1, 0, 1, 0, 1])
    assert (data.x.dtype.str, data.name, data.scale, data.image_shape) == ("<f8", "csv", 1, None)
    assert data.standardize
    assert data.data_hash == hash_arrays(data.x, data.y)
    assert data.source == f"{tmp_path / 'table.csv'}, target species"


@pytest.mark.parametrize(
    ("targets", "names"),
    [
        ([10, 9, 2], ("2", "9", "10")),
        (["10", "9", "b"], ("10", "9", "b")),
        ([1.0, -0.5, 2.0], ("-0.5", "1", "2")),
        (["True", "False"], ("False", "True")),
        (["no", '"a, b"', "é"], ("a, b", "no", "é")),
    ],
)
def test_classes_are_sorted_and_named_by_the_file(tmp_path: Path, targets: list[Any], names: tuple[str, ...]) -> None:
    data = csv(path=write(tmp_path, labelled(targets, 3)), target="y")
    assert data.class_names == names
    shown = [str(target).strip('"').removesuffix(".0") for target in targets * 3]
    assert [names[label] for label in data.y] == shown


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**63), 2**64)),
        min_size=2,
        max_size=6,
    )
)
def test_numbers_are_read_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, int]]
) -> None:
    text = "a,b,y\n" + "".join(f"{a!r},{b},{number % 2}\n" for number, (a, b) in enumerate(rows))
    data = csv(path=write(tmp_path_factory.mktemp("csv"), text), target="y", split="whole")
    np.testing.assert_array_equal(data.x, [[a, float(b)] for a, b in rows])


def test_splits(tmp_path: Path) -> None:
    path = write(tmp_path, labelled(["a", "b"], 10))
    rng = np.random.default_rng(0)
    for split, sizes in (("stratified", [12, 4, 4]), ("whole", [20, 0, 0])):
        parts = csv(path=path, target="y", split=split, standardize=False).splitter(rng)  # type: ignore[arg-type]
        assert [len(parts.train), len(parts.val), len(parts.test)] == sizes
    smallest = csv(path=write(tmp_path, labelled(["a", "b"], 3)), target="y").splitter(rng)
    assert min(len(smallest.train), len(smallest.val), len(smallest.test)) >= 1


@pytest.mark.parametrize("delimiter", [";", "\t", r"\t", "|"])
def test_other_delimiters(tmp_path: Path, delimiter: str) -> None:
    text = labelled(["a", "b"], 3).replace(",", "\t" if delimiter == r"\t" else delimiter)
    assert csv(path=write(tmp_path, text), target="y", delimiter=delimiter).feature_names == ("x",)


def test_byte_order_mark_windows_lines_and_blank_ones_do_no_harm(tmp_path: Path) -> None:
    text = "\ufeff\r\n" + labelled(["a", "b"], 3).replace("\n", "\r\n") + "\r\n"
    assert csv(path=write(tmp_path, text.encode()), target="y").x.shape == (6, 1)
    text = "\ufeff" + labelled(["a", "b"], 3)
    assert csv(path=write(tmp_path, text.encode()), target="y").feature_names == ("x",)


def test_paths_are_relative_to_the_current_directory_or_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, FLOWERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(csv(path="table.csv", target="species").x) == 6
    assert len(csv(path="~/table.csv", target="species").x) == 6
    with pytest.raises(NnlabError, match=rf"^dataset\.path: there is no file {tmp_path / 'tabel.csv'}$"):
        csv(path="tabel.csv", target="species")
    with pytest.raises(NnlabError, match=rf"^dataset\.path: {tmp_path} is no file$"):
        csv(path=".", target="species")
    for nothing in (None, ""):
        with pytest.raises(NnlabError, match=r"^dataset\.path: give the CSV file, as dataset\.path=FILE$"):
            csv(path=nothing, target="species")
    with pytest.raises(NnlabError, match=r"^dataset\.path: "):
        csv(path="a\0b", target="species")


def test_a_target_that_is_not_there(tmp_path: Path) -> None:
    choices = "the columns of table.csv are length, width, species, ripe"
    assert refusal(tmp_path, FLOWERS, target="specis") == (
        f"dataset.target: no column 'specis', did you mean 'species'?; {choices}"
    )
    assert refusal(tmp_path, FLOWERS, target="2") == f"dataset.target: no column '2'; {choices}"
    assert refusal(tmp_path, FLOWERS, target=None) == f"dataset.target: name the column of the classes; {choices}"
    assert refusal(tmp_path, "a;y\n1;2\n").endswith("are a;y; is dataset.delimiter right?")
    assert refusal(tmp_path, "y\n1\n2\n").endswith("no column besides 'y'; is dataset.delimiter right?")
    many = ",".join(f"c{number}" for number in range(500))
    assert refusal(tmp_path, f"{many}\n{many}\n").endswith("c18, c19, ... (500 in all)")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        # missing values
        ("x,y\n1,a\n,b\nNA,b\n", "column 'x' of table.csv has 2 missing values (empty, NA, NaN, null, None), the first "
         "in data row 2; fill them in or drop the rows"),
        ("x,z,y\n1,1,a\n2,,b\n3,3,\n", "column 'z' of table.csv has 1 missing values (empty, NA, NaN, null, None), the "
         "first in data row 2 (1 other columns have some too); fill them in or drop the rows"),
        ("x,z,y\n1,1,a\n2,3\n", "column 'y' of table.csv has 1 missing values"),
        # features that are none
        ("x,z,y\n1,2,a\n2,tall,b\n", "column 'z' of table.csv holds text ('tall' in data row 2), and features are "
         "finite numbers; encode it or drop the column"),
        ("x,y\n1,a\ninf,b\n", "column 'x' of table.csv holds an infinite value ('inf' in data row 2), and features are "
         "finite numbers; mend it or drop the row"),
        ("x,y\n1,a\n-1e999,b\n", "holds an infinite value ('-inf' in data row 2)"),
        # files that are no tables
        ("", "table.csv is empty"),
        ("\n\n", "table.csv is empty"),
        ("x,y\n", "table.csv has column names but no rows"),
        ("x,y,x\n1,2,3\n", "table.csv has 2 columns named 'x'"),
        (",x,y\n0,1,2\n", "column 1 of table.csv has no name; give it one, or drop it if it only numbers the rows"),
        ("x,y\n1,2\n1,2,3\n", "table.csv cannot be read as a table: Expected 2 fields in line 3, saw 3"),
        ("x,y\n1,2,3\n1,2,3\n", "table.csv has rows of more cells than its 2 columns"),
        ('x,y\n1,"2\n', "table.csv cannot be read as a table: EOF inside string starting at row"),
        (b"x,y\n1,\xff\n", "table.csv is no UTF-8 text: invalid start byte"),
        ("x,y\n1,2\n".encode("utf-16-be"), "table.csv is no UTF-8 text"),
        ("x,y\n1,2\n".encode("utf-16-le"), "table.csv is no UTF-8 text"),
        ("x,y\n1,2\n".encode("utf-16"), "table.csv is no UTF-8 text"),
        (gzip.compress(b"x,y\n1,2\n", mtime=0), "table.csv is no UTF-8 text"),
    ],
)  # fmt: skip
def test_a_table_that_is_not_usable_is_one_clear_line(tmp_path: Path, content: str | bytes, expected: str) -> None:
    message = refusal(tmp_path, content)
    assert message.startswith("dataset.path: ")
    assert expected in message


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (["a"] * 5, "has a single class, 'a': there is nothing to tell apart"),
        ([1.5] * 5, "has a single class, '1.5'"),
        (["a", "a", "a", "b", "b"], ": class 'b' has 2 of the 5 rows, and split=stratified needs 3 a class"),
        ([number + 0.5 for number in range(101)], "looks continuous: 101 distinct values, such as 0.5; nnlab classif"),
        (["inf", 1, 1], "has the class inf: classes are finite numbers or text"),
    ],
)
def test_a_target_that_is_no_class_is_one_clear_line(tmp_path: Path, targets: list[Any], expected: str) -> None:
    message = refusal(tmp_path, labelled(targets))
    assert message.startswith("dataset.target: column 'y' of table.csv")
    assert expected in message


def test_small_classes_are_welcome_where_all_rows_train(tmp_path: Path) -> None:
    assert csv(path=write(tmp_path, labelled(["a", "b", "b"])), target="y", split="whole").classes == 2
    many_whole_numbers = labelled([float(number) for number in range(200)])
    assert csv(path=write(tmp_path, many_whole_numbers), target="y", split="whole").classes == 200


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n", " "])
def test_bad_delimiters(tmp_path: Path, delimiter: str) -> None:
    assert refusal(tmp_path, FLOWERS, delimiter=delimiter).startswith("dataset.delimiter: csv needs one character")


def test_bad_split(tmp_path: Path) -> None:
    message = refusal(tmp_path, labelled(["a", "b"], 3), split="x")
    assert message == "dataset.split: csv has no split 'x'; choose one of stratified, whole"


def test_a_file_that_goes_away_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas as pd

    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(pd, "read_csv", fail)
    assert refusal(tmp_path, FLOWERS) == "dataset.path: cannot read table.csv: Input/output error"


def test_pandas_is_imported_when_a_table_is_read_and_not_before(tmp_path: Path) -> None:
    code = "import sys, nnlab.data, nnlab.data.registry; sys.exit('pandas' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_nothing_is_rounded_on_the_way_to_float64(tmp_path: Path) -> None:
    text = f"x,y\n{math.pi!r},0\n{math.nextafter(0.1, 1)!r},1\n"
    data = csv(path=write(tmp_path, text), target="y", split="whole")
    assert data.x[:, 0].tolist() == [math.pi, math.nextafter(0.1, 1)]
