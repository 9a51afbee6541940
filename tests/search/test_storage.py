"""A storage's password stays where it was given."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from sqlalchemy.engine import URL

from nnlab import environment
from nnlab.errors import NnlabError
from nnlab.search import secrets, storage

SECRET = "s3cret"  # noqa: S105


@given(st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=4))
def test_an_address_is_shown_without_its_password(password: str) -> None:
    url = URL.create("postgresql+psycopg", "me", password, "host", 5432, "studies").render_as_string(False)
    seen = storage.shown(storage.address(url, Path("sweep")))
    assert seen == "postgresql+psycopg://me:***@host:5432/studies"
    assert environment.without_password(f"hydra.sweeper.storage={url}") == f"hydra.sweeper.storage={seen}"


def test_neither_is_one_in_the_query() -> None:
    given = f"postgresql://host/studies?user=me&password={SECRET}"
    assert SECRET not in storage.shown(storage.address(given, Path("sweep")))
    assert environment.without_password(given) == "postgresql://host/studies?user=me&password=***"


def test_it_is_taken_out_of_the_config_before_anything_of_it_is_written() -> None:
    override = f"hydra.sweeper.storage=postgresql://me:{SECRET}@host/studies"
    config = OmegaConf.create(
        {"hydra": {"sweeper": {"storage": override.partition("=")[2]}, "overrides": {"hydra": ["a=1", override]}}}
    )
    OmegaConf.set_readonly(config, True)
    secrets.hide(config)
    assert SECRET not in OmegaConf.to_yaml(config)
    assert config.hydra.sweeper.storage == "postgresql://me:***@host/studies"
    kept = OmegaConf.create({"hydra": {"sweeper": {"storage": "${oc.env:STUDIES}"}, "overrides": {"hydra": []}}})
    secrets.hide(kept)
    assert OmegaConf.to_container(kept)["hydra"]["sweeper"]["storage"] == "${oc.env:STUDIES}"  # type: ignore[index, call-overload]


def test_a_hidden_password_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for hidden in ("postgresql://me:***@host/studies", "postgresql://me@host/studies?password=***"):
        monkeypatch.delenv(storage.PASSWORD, raising=False)
        assert storage.address(hidden, Path("sweep")).password is None  # the driver looks for one of its own
        monkeypatch.setenv(storage.PASSWORD, SECRET)
        url = storage.address(hidden, Path("sweep"))
        assert (url.password, dict(url.query)) == (SECRET, {})


def test_what_a_data_base_refuses_is_told_without_it() -> None:
    url = storage.address(f"postgresql://me:{SECRET}@127.0.0.1:1/studies", Path("sweep"))
    with pytest.raises(NnlabError) as caught:
        storage.open_study(url, "mine", "minimize")
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "me:***@127.0.0.1:1/studies: " in str(caught.value)
    with pytest.raises(NnlabError, match="oracledb is not installed"):
        storage.open_study(storage.address("oracle+oracledb://me@host/x", Path("sweep")), "mine", "minimize")


def test_a_relative_file_is_found_again_from_another_folder(tmp_path: Path) -> None:
    assert storage.address("sqlite:///mine.db", tmp_path).database == str(Path.cwd() / "mine.db")
    assert storage.address(None, tmp_path).database == str(tmp_path / "study.db")
