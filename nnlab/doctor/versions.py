"""Versions: Python, and the packages that nnlab asks for."""

from __future__ import annotations

import importlib
import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from nnlab.doctor.remark import Remark, count, some, trouble

_SHOWN = ("numpy", "hydra-core", "mlflow")
_NEEDED_AT_ONCE = ("numpy", "yaml", "hydra", "pydantic")  # quick to import, and each broken in its own way


def python(outputs: Path) -> Iterator[Remark]:  # noqa: ARG001 - every check takes it
    """Check Python against what nnlab says it runs on."""
    try:
        wanted = str(metadata.metadata("nnlab")["Requires-Python"] or "")
    except metadata.PackageNotFoundError:
        yield trouble("versions", "nnlab is not installed", f"run: {sys.executable} -m pip install -e .")
        return
    here = platform.python_version()
    if SpecifierSet(wanted).contains(here, prereleases=True):
        yield Remark("versions", f"Python {here} ({sys.executable})")
    else:
        yield trouble("versions", f"Python {here} is not {wanted}", "make the virtual environment with another Python")


def packages(outputs: Path) -> Iterator[Remark]:  # noqa: ARG001 - every check takes it
    """Check what is installed against what nnlab asks for."""
    wrong = []
    requirements = [Requirement(text) for text in metadata.requires("nnlab") or []]
    needed = [each for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})]
    for requirement in needed:
        try:
            found = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append((requirement, "is missing"))
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            wrong.append((requirement, f"is {found}"))
    for requirement, problem in wrong:
        name = f"{requirement.name}{requirement.specifier}"
        remedy = f"run: {sys.executable} -m pip install '{name}'"
        yield trouble("versions", f"{requirement.name} {problem}, and nnlab needs {name}", remedy)
    for module in _NEEDED_AT_ONCE:
        try:
            importlib.import_module(module)
        except Exception as error:  # a binary of another machine, a file that is gone
            remedy = f"run: {sys.executable} -m pip install --force-reinstall nnlab"
            yield trouble("versions", f"{module} can't be imported ({type(error).__name__}: {error})", remedy)
    if not wrong:
        shown = some([f"{name} {metadata.version(name)}" for name in _SHOWN])
        yield Remark("versions", f"{count(len(needed), 'package')} as nnlab needs them: {shown}")
