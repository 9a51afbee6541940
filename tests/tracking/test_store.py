from pathlib import Path

import pytest
import sqlalchemy

from nnlab.errors import NnlabError
from nnlab.tracking import store

SECRET = "s3cr3t"  # noqa: S105


def test_the_environment_says_where_else_the_outputs_own_file(monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.uri(Path("/lab/outputs")) == "sqlite:////lab/outputs/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert store.uri(Path("/lab/outputs")) == "http://127.0.0.1:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert store.uri(Path("/lab/outputs")) == "sqlite:////lab/outputs/mlflow.db"


@pytest.mark.parametrize("name", ["plain", "two words", "100%41", "what?", "a#b", "ünï"])
def test_the_file_is_the_one_that_the_database_driver_opens(tmp_path: Path, name: str) -> None:
    outputs = tmp_path / name
    uri = store.uri(outputs)
    assert sqlalchemy.make_url(uri).database == str(outputs / "mlflow.db")
    assert store.sqlite_file(uri) == outputs / "mlflow.db"
    assert store.is_own(uri, outputs)


def test_only_the_outputs_own_file_is_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "outputs")
    monkeypatch.chdir(tmp_path)
    assert store.is_own(f"sqlite:///{tmp_path}/link/mlflow.db", tmp_path / "outputs")
    assert store.is_own("sqlite:///outputs/mlflow.db?timeout=5", tmp_path / "outputs")
    for other in ("sqlite:///other/mlflow.db", "http://127.0.0.1:5000", "postgresql://host/outputs/mlflow.db"):
        assert not store.is_own(other, tmp_path / "outputs")


def test_a_server_is_what_answers_http() -> None:
    assert store.is_server("http://127.0.0.1:5000")
    assert store.is_server("https://host/mlflow")
    assert not store.is_server("sqlite:////lab/mlflow.db")


def test_a_store_has_one_key_however_it_is_spelt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spelt = ("sqlite:///mlflow.db", f"sqlite:///{tmp_path}/mlflow.db", f"sqlite:///{tmp_path}/x/../mlflow.db")
    assert len({store.key(uri) for uri in spelt}) == 1
    assert store.key("http://host:5000") == store.key("http://host:5000/")
    others = ("sqlite:///other.db", "http://host:5000", "http://host:5001", "postgresql://host/db")
    assert len({store.key(uri) for uri in (*spelt, *others)}) == 5


@pytest.mark.parametrize(
    "uri",
    [
        f"postgresql://ada:{SECRET}@host/db",
        f"https://ada:p@{SECRET}@host:5000",
        f"https://:{SECRET}@host",
        f"postgresql://host/db?user=ada&password={SECRET}",
        f"postgresql://ada:a/{SECRET}@host/db",
        f"https://host/?access_token={SECRET}&sig={SECRET}",
        f"https://{SECRET}@host",
        f"ada:{SECRET}@host/db",
        f"API request to http://ada:{SECRET}@host/api/2.0 failed, as did http://ada:{SECRET}@other/x",
    ],
)
def test_passwords_are_never_shown(uri: str) -> None:
    assert SECRET not in store.shown(uri)
    assert "host" in store.shown(uri)


@pytest.mark.parametrize(
    "uri", ["sqlite:////lab/me@home/mlflow.db", "http://127.0.0.1:5000", "https://host/a@b", "http://host:5000/a@b"]
)
def test_a_uri_without_a_password_is_shown_as_it_is(uri: str) -> None:
    assert store.shown(uri) == uri


@pytest.mark.parametrize("spelt", ["outputs/mlflow.db", "./link/mlflow.db", "sub/../outputs/mlflow.db"])
@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+pysqlite"])
def test_a_relative_store_means_the_same_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, spelt: str
) -> None:
    (tmp_path / "outputs").mkdir()
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "outputs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{scheme}:///{spelt}?timeout=5")
    uri = store.uri(tmp_path / "outputs")
    assert uri == f"sqlite:///{tmp_path}/outputs/mlflow.db?timeout=5"
    assert store.is_own(uri, tmp_path / "outputs")


@pytest.mark.parametrize(
    "uri", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true", "sqlite://host/x"]
)
def test_a_store_that_would_go_with_its_process_is_refused(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(NnlabError, match="is no store"):
        store.uri(Path("/lab/outputs"))
