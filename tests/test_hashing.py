import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import nnlab
from nnlab.hashing import canonical_hash, code_version

SOURCES = Path(nnlab.__file__).parent


def test_the_canonical_form_is_sorted_compact_ascii_json() -> None:
    by_hand = b'{"a":[1,2.5,null,true],"b":{"x":"\\u00fc"}}'

    result = canonical_hash({"b": {"x": "ü"}, "a": [1, 2.5, None, True]})

    assert result == hashlib.sha256(by_hand).hexdigest()
    assert result == canonical_hash({"a": [1, 2.5, None, True], "b": {"x": "ü"}})


@pytest.mark.parametrize("other", [{"a": [2, 1]}, {"a": [1, 2, 3]}, {"b": [1, 2]}, {"a": [1, 2.5]}, {"a": "[1,2]"}])
def test_another_value_has_another_hash(other: object) -> None:
    assert canonical_hash(other) != canonical_hash({"a": [1, 2]})


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_json_has_not_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_hash({"lr": number})
    with pytest.raises(TypeError):
        canonical_hash({"path": Path()})


class Tree:
    """A copy of the sources whose code_version is asked in a process of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(SOURCES, root / "nnlab", ignore=shutil.ignore_patterns("__pycache__", "conf", "experiments"))

    def edit(self, name: str, old: bytes, new: bytes) -> None:
        path = self.root / "nnlab" / name
        content = path.read_bytes()
        assert old in content
        path.write_bytes(content.replace(old, new))

    def code_version(self) -> str:
        # -S: without the site-packages, an editable install of nnlab can't come first.
        program = "from nnlab.hashing import code_version; print(code_version())"
        (self.root / "nnlab" / "__init__.py").write_text("")
        done = subprocess.run([sys.executable, "-S", "-c", program], cwd=self.root, capture_output=True, check=True)
        return done.stdout.decode().strip()


def test_the_code_version_is_that_of_the_engine(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    assert tree.code_version() == code_version()

    tree.edit("cli.py", b"import", b"#\nimport")  # no number of a run depends on the command line
    assert tree.code_version() == code_version()

    tree.edit("nn/losses.py", b"\n", b"\r\n")  # a checkout on Windows
    assert tree.code_version() == code_version()

    seen = {code_version()}
    for name in ("nn/losses.py", "optim/sgd.py", "data/splits.py", "training/loop.py", "build.py"):
        tree.edit(name, b"import", b"# other\nimport")
        seen.add(tree.code_version())
    (tmp_path / "nnlab" / "nn" / "extra.py").write_text("")
    seen.add(tree.code_version())
    (tmp_path / "nnlab" / "nn" / "extra.py").rename(tmp_path / "nnlab" / "nn" / "other.py")
    seen.add(tree.code_version())
    assert len(seen) == 8
