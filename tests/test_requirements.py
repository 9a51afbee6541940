"""What is installed: floors without known vulnerabilities, and pins that keep to them."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
PINS = {
    canonicalize_name(name): Version(version)
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if not line.startswith("#")
    for name, version in [line.split("==")]
}
FIXED = {  # the first release without, for what nnlab doesn't reach itself, so that only `make` sees to it
    "anyio": "4.14.2",  # as of 2026-09
    "cryptography": "50.0.0",  # CVE-2026-69247, CVE-2026-69249
    "gitpython": "3.1.60",  # GHSA-mv93-w799-cj2w and those after it
    "jinja2": "3.1.6",  # CVE-2025-27516
    "pillow": "12.2.0",  # CVE-2026-40192, GHSA-pwv6-vv43-88gr, GHSA-cfh3-3jmp-rvhc: nnlab writes images, and reads none
    "protobuf": "6.33.5",  # GHSA-7gcm-g887-7qv7
    "pyarrow": "23.0.1",  # CVE-2026-25087
    "pygments": "2.20.0",  # CVE-2026-4539
    "pytest": "9.0.3",  # CVE-2025-71176
    "python-dotenv": "1.2.2",  # GHSA-mf9w-mj56-hr94
}


_INSTALLED = [text for extra in ("test", "server", "postgres", "dask") for text in EXTRAS[extra]]


@pytest.mark.parametrize("text", [*PROJECT["dependencies"], *(text for text in _INSTALLED if text[:6] != "nnlab[")])
def test_the_pins_are_what_is_asked_for(text: str) -> None:
    requirement = Requirement(text)
    assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)])


@pytest.mark.parametrize("text", PROJECT["dependencies"])
def test_each_requirement_has_a_floor(text: str) -> None:
    assert any(each.operator == ">=" for each in Requirement(text).specifier)


@pytest.mark.parametrize(("name", "version"), FIXED.items())
def test_pins_of_what_mlflow_brings_have_no_known_vulnerability(name: str, version: str) -> None:
    assert PINS[canonicalize_name(name)] >= Version(version)
