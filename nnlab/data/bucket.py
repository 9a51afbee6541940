"""A public bucket that serves files as ``<address><name>.gz`` over HTTP."""

import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

CONNECT_SECONDS = 3.0
STALL_SECONDS = 10.0  # without a single byte
ANSWER_SECONDS = 6.0


def bucket_files(address: str, names: Sequence[str]) -> Generator[tuple[str, bytes], None, None]:
    """Download files one after the other, with a progress bar where stderr is a terminal.

    Args:
        address: of the bucket, with a slash at the end.
        names: without ``.gz``.

    Yields:
        Name and content as served, neither unpacked nor verified.

    Raises:
        OSError: no answer, or the download broke off; the text is a short reason. Stops at the first such file.
    """
    import pooch
    import requests

    # trust_env is requests' default, so a company's HTTPS_PROXY is used.
    download = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(), chunk_size=2**16, timeout=(CONNECT_SECONDS, STALL_SECONDS)
    )
    with tempfile.TemporaryDirectory(prefix="nnlab-") as temporary:
        for position, name in enumerate(names):
            url, target = f"{address}{name}.gz", Path(temporary) / f"{name}.gz"
            try:
                if position == 0:
                    _wait_for_answer(download, url)
                download(url, str(target), None)
            except requests.RequestException as error:
                raise OSError(_short_reason(error)) from error
            yield name, target.read_bytes()


def _wait_for_answer(download: Callable[..., object], url: str) -> None:
    """Ask for the head of a file in a thread that is given up after a few seconds.

    The connect timeout is not enough: name servers that do not answer are not covered by it, and it holds for each
    address of the host by itself: behind a firewall that swallows packets, eight addresses would take 24 s.
    """
    failure: list[BaseException] = []

    def ask() -> None:
        try:
            download(url, None, None, check_only=True)
        except BaseException as error:  # handed to the waiting thread, whatever it is
            failure.append(error)

    thread = threading.Thread(target=ask, daemon=True, name="nnlab-ask-mirror")
    thread.start()
    thread.join(ANSWER_SECONDS)
    if thread.is_alive():
        raise OSError(f"no answer within {ANSWER_SECONDS:.0f} s")
    if failure:
        raise failure[0]


def _short_reason(error: OSError) -> str:
    """What a user can act on; the message of requests repeats address, class names and object ids."""
    import requests

    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP status {response.status_code}"
    text = str(error)
    for exception, reason in (
        (requests.exceptions.ProxyError, "the proxy refuses"),
        (requests.exceptions.SSLError, "its TLS certificate is not accepted"),
        (requests.exceptions.ConnectTimeout, f"no connection within {CONNECT_SECONDS:.0f} s"),
        (requests.exceptions.ReadTimeout, f"no data within {STALL_SECONDS:.0f} s"),
    ):
        if isinstance(error, exception):
            return reason
    for sign, reason in (("NameResolution", "host name not found"), ("refused", "connection refused")):
        if sign in text:
            return reason
    return f"{type(error).__name__}: {text}"[:100]


def host(address: str) -> str:
    """The part of an address that a message names."""
    return urlsplit(address).netloc
