from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from nnlab.data import hash_arrays, npz
from nnlab.errors import NnlabError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

Y = np.array([0, 1] * 5)
X = np.arange(30.0).reshape(10, 3)


def save(folder: Path, **arrays: NDArray[Any]) -> str:
    np.savez(folder / "arrays.npz", **arrays)  # type: ignore[arg-type]
    return str(folder / "arrays.npz")


def refusal(path: str, **arguments: Any) -> str:
    with pytest.raises(NnlabError) as error:
        npz(path=path, **arguments)
    message = str(error.value)
    assert "\n" not in message
    assert error.value.exit_code == 2
    return message.replace(path, "FILE")


@pytest.mark.parametrize(
    ("shape", "image_shape", "first", "last"),
    [
        ((10, 6), None, "x0", "x5"),
        ((10, 2, 3), (1, 2, 3), "pixel_0_0", "pixel_1_2"),
        ((10, 3, 4, 5), (3, 4, 5), "pixel_0_0_0", "pixel_3_4_2"),
    ],
)
def test_features_and_images(tmp_path: Path, shape: tuple[int, ...], image_shape: Any, first: str, last: str) -> None:
    x = np.random.default_rng(0).random(shape)
    data = npz(path=save(tmp_path, x=np.asfortranarray(x), y=Y))
    np.testing.assert_array_equal(data.x, x.reshape(10, -1))
    np.testing.assert_array_equal(data.y, Y)
    assert data.x.flags.c_contiguous
    assert data.image_shape == image_shape
    assert (data.feature_names[0], data.feature_names[-1]) == (first, last)
    assert (data.name, data.class_names, data.standardize) == ("npz", ("0", "1"), True)
    assert data.data_hash == hash_arrays(data.x, data.y)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("u1", "u1"), ("f4", "f4"), ("f8", "f8"), (">f4", "f4"), (">f8", "f8"), ("f2", "f8"), ("i4", "f8"), ("?", "f8")],
)
def test_dtypes(tmp_path: Path, given: str, kept: str) -> None:
    data = npz(path=save(tmp_path, x=(X % 2).astype(given), y=Y.astype(">i2")))
    assert data.x.dtype == np.dtype(kept)
    assert data.x.dtype.isnative
    assert data.y.dtype == np.int64
    np.testing.assert_array_equal(data.x, X % 2)


def test_names_scale_split_and_text_classes(tmp_path: Path) -> None:
    path = save(tmp_path, pixels=np.full((10, 2, 2), 255, np.uint8), kind=np.array(["dog", "cat"] * 5), other=X)
    data = npz(path=path, x="pixels", target="kind", scale=255.0, split="whole", standardize=False)
    assert data.class_names == ("cat", "dog")
    np.testing.assert_array_equal(data.y, [1, 0] * 5)
    assert (data.inputs(np.float32) == 1).all()
    assert not data.standardize
    assert len(data.splitter(np.random.default_rng(0)).train) == 10
    assert data.source == f"{path}, arrays pixels and kind"


def test_compressed_files(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "c.npz", x=X, y=Y)
    np.testing.assert_array_equal(npz(path=str(tmp_path / "c.npz")).x, X)


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"a": X, "y": Y}, "dataset.x: FILE has no array 'x'; it has a, y"),
        ({"x": X, "b": Y}, "dataset.target: FILE has no array 'y'; it has x, b"),
        ({"x": X.astype(object), "y": Y}, "dataset.x: array 'x' of FILE holds Python objects, which are not loaded"),
        ({"x": X, "y": Y.astype(object)}, "dataset.target: array 'y' of FILE holds Python objects"),
        ({"x": X + 1j, "y": Y}, "dataset.x: array 'x' of FILE is complex128; features are real numbers"),
        ({"x": X.astype(str), "y": Y}, "features are real numbers"),
        ({"x": X[0], "y": Y}, "dataset.x: array 'x' of FILE has shape [3]; [n, features], [n, height, width] or"),
        ({"x": X[:0], "y": Y[:0]}, "none of them 0"),
        ({"x": X[:, :0], "y": Y}, "none of them 0"),
        ({"x": X.reshape(10, 1, 1, 1, 3), "y": Y}, "has shape [10, 1, 1, 1, 3]"),
        ({"x": X, "y": Y[:9]}, "dataset.target: array 'y' of FILE has shape [9], and [10] is needed"),
        ({"x": X, "y": np.eye(10)}, "has shape [10, 10], and [10] is needed"),
        ({"x": X, "y": Y.astype("M8[s]")}, "is datetime64[s]; classes are numbers or text"),
        ({"x": np.where(X > 25, np.nan, X), "y": Y}, "dataset.x: array 'x' of FILE has 4 values that are NaN or "
         "infinite, the first (nan) in row 8; fill them in or drop the rows"),
        ({"x": np.where(X == 3, -np.inf, X), "y": Y}, "has 1 values that are NaN or infinite, the first (-inf)"),
        ({"x": X, "y": np.where(Y, np.nan, 0)}, "dataset.target: array 'y' of FILE has the class nan"),
        ({"x": X, "y": 0 * Y}, "array 'y' of FILE has a single class, '0'"),
        ({"x": X, "y": np.arange(10)}, "class '0' has 1 of the 10 rows"),
        ({"x": np.ones((300, 2)), "y": np.arange(300) / 7}, "looks continuous: 300 distinct values"),
    ],
)  # fmt: skip
def test_arrays_that_are_not_usable_are_one_clear_line(
    tmp_path: Path, arrays: dict[str, NDArray[Any]], expected: str
) -> None:
    assert expected in refusal(save(tmp_path, **arrays))


def test_a_file_that_is_not_there_and_bad_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NnlabError, match=rf"^dataset\.path: there is no file {tmp_path / 'a.npz'}$"):
        npz(path="a.npz")
    with pytest.raises(NnlabError, match=r"^dataset\.path: give the \.npz file, as dataset\.path=FILE$"):
        npz()
    path = save(tmp_path, x=X, y=Y)
    for scale in (0.0, -1.0, float("nan"), float("inf")):
        assert refusal(path, scale=scale).startswith("dataset.scale: npz needs a finite number above 0, got ")
    assert refusal(path, split="x") == "dataset.split: npz has no split 'x'; choose one of stratified, whole"


def test_other_files_and_damaged_ones(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    np.save(tmp_path / "x.npy", X)
    good = save(tmp_path, x=X, y=Y)
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[content.index(X.tobytes()) + 20] ^= 1
    for wrong in (b"", b"text", (tmp_path / "x.npy").read_bytes(), content[:-30], bytes(flipped)):
        path.write_bytes(wrong)
        assert refusal(good).startswith("dataset.path: FILE is no .npz file, or damaged: ")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no arrays")
    assert refusal(good) == "dataset.x: FILE has no array 'x'; it has none"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", "no array")
        archive.writestr("y.npy", "no array")
    assert refusal(good).startswith("dataset.path: FILE is damaged: ")


def test_what_claims_to_be_huge_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2**40, 3)})
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr("x.npy", header.getvalue() + bytes(800))
            archive.writestr("y.npy", "")
        assert "is damaged: its header promises 26388279066752 bytes, it has 928" in refusal(str(path)).replace(
            str(len(header.getvalue()) + 2**40 * 24), "26388279066752"
        ).replace(str(len(header.getvalue()) + 800), "928")
    # The size that the directory declares, without the terabytes themselves.
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", header.getvalue())
        archive.writestr("y.npy", "")
        archive.getinfo("x.npy").file_size = 2**33
    assert refusal(str(path)) == ("dataset.x: array 'x' of FILE has 8589934592 bytes; more than 4 GiB are not read")


def test_nothing_of_a_pickle_is_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (open, (str(tmp_path / "evil"), "w"))

    evil = np.empty(2, dtype=object)
    evil[:] = [Evil(), Evil()]
    assert "holds Python objects" in refusal(save(tmp_path, x=evil, y=Y))
    assert not (tmp_path / "evil").exists()
