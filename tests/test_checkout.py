"""Commit and diff give the sources back, whatever was changed and whatever the user's git is set to."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from nnlab import checkout

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")

BINARY = bytes(range(256)) * 40


def git(directory: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(directory), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "my repository"
    root.mkdir()
    git(root, "init", "-q")
    files = {
        ".gitignore": b"*.log\nignored.py\n",
        "model.py": b"one\ntwo\nthree\n" * 20,
        "gone.py": b"gone\n",
        "old.yaml": b"a: 1\n" * 30,
        "weights.npy": BINARY,
        "run.sh": b"#!/bin/sh\n",
        "no end.txt": b"no line break",
    }
    for name, content in files.items():
        (root / name).write_bytes(content)
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "first")
    return root


def tree(root: Path) -> dict[str, tuple[bytes, bool]]:
    """Every file's content and whether it can be executed, without git's own."""
    paths = [path for path in root.rglob("*") if path.is_file() and ".git" not in path.relative_to(root).parts]
    return {str(path.relative_to(root)): (path.read_bytes(), bool(path.stat().st_mode & 0o100)) for path in paths}


def look(repository: Path) -> checkout.Checkout:
    state = checkout.look(repository, repository / "outputs")
    assert state is not None
    return state


def change(root: Path) -> None:
    (root / "model.py").write_bytes((root / "model.py").read_bytes().replace(b"two", b"2", 3) + b"no line break")
    (root / "gone.py").unlink()
    git(root, "mv", "old.yaml", "new name.yaml")
    (root / "weights.npy").write_bytes(BINARY[::-1])
    (root / "run.sh").chmod(0o755)
    (root / "conf" / "deep").mkdir(parents=True)
    (root / "conf" / "deep" / "n\u00e4w -> 'one'.py").write_text("b: 1")
    (root / "added.toml").write_text("[a]\n")
    git(root, "add", "added.toml")
    (root / "-module.py").write_text("")
    (root / "*.py").write_text("x = 1\r\n")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"diff.noprefix": "true", "color.ui": "always", "diff.context": "0", "diff.external": "false"},
        {"diff.mnemonicPrefix": "true", "diff.renames": "copies", "status.showUntrackedFiles": "no"},
        {"diff.relative": "true", "status.branch": "true", "status.renames": "copies"},
    ],
)
def test_commit_and_diff_give_the_sources_back(repository: Path, tmp_path: Path, settings: dict[str, str]) -> None:
    for name, value in settings.items():
        git(repository, "config", name, value)
    change(repository)
    below = repository / "conf"
    state = look(below)
    assert state.commit == git(repository, "rev-parse", "HEAD")
    assert (state.dirty, state.note) == (True, None)

    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(repository), str(clone))
    git(clone, "checkout", "-q", state.commit)
    (tmp_path / "uncommitted.diff").write_bytes(state.diff)
    git(clone, "apply", str(tmp_path / "uncommitted.diff"))
    assert tree(clone) == tree(repository)


def test_looking_leaves_the_repository_as_it_is(repository: Path) -> None:
    change(repository)
    (repository / ".gitignore").write_text("*.log\n")  # and a file that looks changed, and is not
    (repository / ".gitignore").write_text("*.log\nignored.py\n")
    before = {path: path.read_bytes() for path in (repository / ".git").rglob("*") if path.is_file()}
    look(repository)
    assert before == {path: path.read_bytes() for path in (repository / ".git").rglob("*") if path.is_file()}


def test_a_clean_checkout_has_no_diff(repository: Path) -> None:
    assert look(repository) == checkout.Checkout(git(repository, "rev-parse", "HEAD"), dirty=False)


@pytest.mark.parametrize("name", ["model.py", "weights.npy", "no end.txt", "conf/new.py", "new.py"])
def test_a_changed_file_or_a_new_source_makes_it_dirty(repository: Path, name: str) -> None:
    (repository / "conf").mkdir()
    (repository / name).write_text("new")
    state = look(repository)
    assert state.dirty is True
    assert name.encode() in state.diff


@pytest.mark.parametrize(
    "name", ["passwords.txt", ".env", "data.csv", "credentials.yaml", "train.log", "ignored.py", "outputs/config.py"]
)
def test_other_files_stay_out_of_it(repository: Path, name: str) -> None:
    (repository / "outputs").mkdir()
    (repository / name).write_text("secret")
    assert look(repository).dirty is False
    (repository / "model.py").write_text("new")
    assert b"secret" not in look(repository).diff


def test_what_is_staged_and_taken_back_is_no_difference(repository: Path) -> None:
    before = (repository / "model.py").read_bytes()
    (repository / "model.py").write_text("new")
    git(repository, "add", "model.py")
    (repository / "model.py").write_bytes(before)
    assert look(repository).dirty is False


def test_a_large_diff_is_not_kept_and_says_so(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkout, "LARGEST_DIFF", 100_000)
    (repository / "model.py").write_text("x\n" * 60_000)
    state = look(repository)
    assert (state.dirty, state.diff) == (True, b"")
    assert state.note is not None
    assert state.note.startswith("the diff of the uncommitted changes has 0.2 MB, more than the 0.1 MB")


def test_without_a_repository_a_commit_or_git_there_is_nothing(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checkout.look(tmp_path, tmp_path) is None
    git(tmp_path, "init", "-q", "empty")
    assert checkout.look(tmp_path / "empty", tmp_path) is None
    monkeypatch.setenv("PATH", "")
    assert checkout.look(repository, tmp_path) is None


def test_another_repository_s_git_variables_do_not_matter(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = look(repository)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "elsewhere" / "index"))
    assert look(repository) == expected


@pytest.mark.parametrize(
    ("failing", "dirty", "note"),
    [
        ("status", None, "git could not say what has been changed"),
        ("add", True, "git could not make a diff of the uncommitted changes"),
        ("diff", True, "git could not make a diff of the uncommitted changes"),
    ],
)
def test_git_that_fails_is_not_taken_for_a_clean_checkout(
    repository: Path, monkeypatch: pytest.MonkeyPatch, failing: str, dirty: bool | None, note: str
) -> None:
    real = checkout._git

    def git_that_fails(directory: Path, *arguments: str, **others: Any) -> bytes | None:
        return None if failing in arguments else real(directory, *arguments, **others)

    monkeypatch.setattr(checkout, "_git", git_that_fails)
    (repository / "model.py").write_text("new")
    (repository / "new.py").write_text("new")
    assert look(repository)[1:] == (dirty, b"", note)


def test_a_linked_work_tree_and_one_without_an_index_are_looked_at_too(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "-q", str(tmp_path / "linked"))
    (tmp_path / "linked" / "new.py").write_text("new")
    assert b"b/new.py" in look(tmp_path / "linked").diff
    (repository / ".git" / "index").unlink()
    assert look(repository).dirty is True


@pytest.mark.parametrize("name", [".env", "deploy/.env.production", "server.pem", "keys/id_rsa", ".netrc", "Tls.KEY"])
def test_changed_files_that_hold_secrets_by_their_names_are_left_out(name: str, repository: Path) -> None:
    (repository / name).parent.mkdir(exist_ok=True)
    (repository / name).write_text("PASSWORD=\n")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "with a place for secrets")
    (repository / name).write_text("PASSWORD=hidden\n")
    assert look(repository).dirty is False
    (repository / "model.py").write_text("changed\n")
    state = look(repository)
    assert b"changed" in state.diff
    assert b"hidden" not in state.diff


def test_the_diff_is_whole_from_a_folder_below_and_whatever_git_makes_of_patterns(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_LITERAL_PATHSPECS", "1")
    (repository / "below").mkdir()
    (repository / "model.py").write_text("changed\n")
    state = checkout.look(repository / "below", repository / "outputs")
    assert state is not None
    assert b"changed" in state.diff
