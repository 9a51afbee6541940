"""The compose file says what the scripts of `deploy/` understand; no engine runs here to start it."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

_TOP = Path(__file__).parents[2]
_SCRIPT = (_TOP / "deploy" / "server").read_text()


@pytest.fixture
def services() -> dict[str, Any]:
    composed = yaml.safe_load((_TOP / "deploy" / "compose.yaml").read_text())
    return dict(composed["services"])


def test_the_server_gets_nothing_that_its_script_does_not_name(services: dict[str, Any]) -> None:
    assert [name for name in services["server"]["environment"] if not re.search(rf"\b{name}\b", _SCRIPT)] == []


def test_what_the_script_insists_on_has_to_be_given(services: dict[str, Any]) -> None:
    required = re.findall(r"\{(\w+):\?", _SCRIPT)
    assert required == ["PGPASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY"]
    for name in [*required, "MLFLOW_AUTH_ADMIN_PASSWORD"]:
        assert services["server"]["environment"][name].startswith(f"${{{name}:?")


def test_both_databases_are_made_and_no_port_is_open_to_others(services: dict[str, Any]) -> None:
    assert services["database"]["environment"]["POSTGRES_DB"] == "mlflow"
    assert "create database mlflow_auth;" in (_TOP / "deploy" / "databases.sql").read_text()
    assert "ports" not in services["database"]
    assert services["server"]["ports"] == ["127.0.0.1:5000:5000"]


def test_what_the_image_copies_is_there() -> None:
    recipe = (_TOP / "deploy" / "Dockerfile").read_text()
    named = [name for line in re.findall(r"COPY (.*) \S+", recipe) for name in line.split()]
    assert "nnlab" in named
    assert [name for name in named if not (_TOP / name).exists()] == []
