"""Planted secrets: random ones, where people keep theirs, and what they look like wherever they are written down."""

from __future__ import annotations

import base64
import os
import random
import shutil
import string
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, quote_plus

_ROOT = Path(__file__).parents[3]
VARIABLES = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_STORAGE_ACCESS_KEY", "HF_TOKEN"),
    *("GOOGLE_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "WANDB_API_KEY", "GITHUB_TOKEN", "GITLAB_TOKEN"),
    *("CI_JOB_TOKEN", "NPM_TOKEN", "TWINE_PASSWORD", "DATABASE_URL", "PGPASSWORD", "MYSQL_PWD", "SSH_PASSPHRASE"),
    *("KAGGLE_KEY", "SLACK_WEBHOOK_URL", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "NNLAB_SECRET"),
    *("MLFLOW_FLASK_SERVER_SECRET_KEY", "KUBECONFIG_DATA", "HTTP_AUTHORIZATION", "MY_PASSWORD"),
)


@dataclass
class Planted:
    """Secrets, and what they look like wherever somebody writes them down."""

    draw: random.Random
    values: list[str] = field(default_factory=list)

    def new(self, *, odd: bool = False) -> str:
        """Return a new secret; an odd one has characters that a URL can't have as they are."""
        letters = string.ascii_letters + string.digits
        value = "".join(self.draw.choices(letters, k=12)) + ("/@:?&=+ %" if odd else "")
        value += "".join(self.draw.choices(letters, k=12))
        self.values.append(value)
        return value

    def forms(self) -> dict[bytes, str]:
        """Return bytes -> the secret that they give away."""
        found = {}
        for value in self.values:
            for form in (value, quote(value), quote(value, safe=""), quote_plus(value), repr(value)[1:-1]):
                found[form.encode()] = value
            for before in range(3):  # base64 of something that it is a part of, whatever stands before it
                code = base64.b64encode(b"x" * before + value.encode()).decode()
                found[code[4 if before else 0 : -4].encode()] = value
            for part in (value[:12], value[-12:]):  # cut, or only its odd middle masked
                found[part.encode()] = value
        return found


def user(planted: Planted, *, odd: bool = False) -> str:
    """Return a new user and password, as they stand in a URL."""
    return f"{quote(planted.new(), safe='')}:{quote(planted.new(odd=odd), safe='')}"


def plant(planted: Planted, root: Path, uri: str) -> dict[str, str]:
    """Put secrets into variables, a home and a checkout, and return the environment."""
    home, checkout = root / "home", root / "checkout"
    (home / ".config/pip").mkdir(parents=True)
    (home / ".netrc").write_text(f"machine 127.0.0.1 login {planted.new()} password {planted.new()}\n")
    (home / ".config/pip/pip.conf").write_text(f"[global]\nindex-url = https://x:{planted.new()}@pypi.example/simple\n")
    (home / ".git-credentials").write_text(f"https://x:{planted.new()}@git.example\n")
    for part in ("nnlab", "conf", "experiments", "hydra_plugins"):
        shutil.copytree(_ROOT / part, checkout / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(_ROOT / "pyproject.toml", checkout)
    (checkout / ".env").write_text("PASSWORD=\n")  # tracked, with nothing in it yet
    (checkout / "deploy.pem").write_text("\n")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example", "-C", str(checkout)]
    for step in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *step], check=True, capture_output=True)
    remote = f"https://x:{planted.new()}@git.example/x.git"
    subprocess.run([*git, "remote", "add", "origin", remote], check=True)
    (checkout / ".env").write_text(f"PASSWORD={planted.new()}\n")
    (checkout / "deploy.pem").write_text(f"{planted.new()}\n")
    (checkout / ".env.local").write_text(f"PASSWORD={planted.new()}\n")  # untracked
    (checkout / "token.txt").write_text(f"{planted.new()}\n")
    with (checkout / "nnlab/errors.py").open("a") as source:
        source.write("\n# a change, so that there is a diff\n")
    variables = {name: planted.new() for name in VARIABLES}
    variables["DATABASE_URL"] = f"postgresql://x:{planted.new()}@db.example/x"
    kept = {name: os.environ[name] for name in ("PATH", "NNLAB_DATA_DIR") if name in os.environ}
    return {
        **kept,
        **variables,
        "HOME": str(home),
        "PYTHONPATH": str(checkout),
        "NNLAB_OUTPUTS": str(root / "outputs"),
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    }


def given_away(data: bytes, where: str, planted: Planted) -> Iterator[str]:
    """Yield the first secret that some bytes give away, with what stands around it."""
    for form, value in planted.forms().items():
        if form in data:
            at = data.index(form)
            yield f"{where} holds {value!r}: {data[max(0, at - 60) : at + 40]!r}"
            return
