"""Answers: what a tracking server may send, bounded in size and time, and read by one who asks for it plainly.

MLflow's client reads an answer whole, however long it is and however slowly it comes, and `requests` unpacks it. A
tracker runs unattended: a proxy that answers with an endless page would take all memory, or hold it for ever.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import logging
import os
import socket
import time
from typing import Any

import urllib3.connection
import urllib3.connectionpool

_BYTES = 32 << 20  # headers included; a page of a metric's history has 2 MB
_SECONDS = 180.0


def bound() -> None:
    """Bound the answers that this process gets from now on, and leave it to ``Patient`` to ask again."""
    urllib3.connectionpool.HTTPConnectionPool.ConnectionCls = _Connection
    urllib3.connectionpool.HTTPSConnectionPool.ConnectionCls = _SecureConnection
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"  # or a run might be created twice
    logging.disable(logging.WARNING)  # MLflow and urllib3 warn of each, in a log that nobody cuts; we report them


class _Stream(io.RawIOBase):
    """What comes from a socket, up to a limit."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._left = _BYTES
        self._ends = time.monotonic() + _SECONDS

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def readinto(self, buffer: Any, /) -> int | None:
        if time.monotonic() > self._ends:
            raise TimeoutError(f"the answer has not come to its end after {_SECONDS:g} s")
        count: int | None = self._raw.readinto(buffer)
        self._left -= count or 0
        if self._left < 0:
            raise OSError(f"the answer is longer than {_BYTES >> 20} MB")
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **keywords: Any) -> None:
        if hasattr(socket, "TCP_QUICKACK"):
            # MLflow's server with several workers sends head and body apart, and the body only when we have confirmed
            # the head, which Linux puts off for 40 ms: three times as long as the rest of a call takes.
            with contextlib.suppress(OSError):  # the connection has broken: reading will say so
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        super().__init__(sock, *args, **keywords)
        self.fp = io.BufferedReader(_Stream(self.fp.detach()))

    def begin(self) -> None:
        super().begin()
        del self.headers["Content-Encoding"]  # a small one may be unpacked to anything; it is no JSON then


class _Plain(http.client.HTTPConnection):
    response_class = _Answer

    def putheader(self, header: str | bytes, *values: Any) -> None:
        is_encoding = isinstance(header, str) and header.lower() == "accept-encoding"
        super().putheader(header, *(("identity",) if is_encoding else values))


class _Connection(_Plain, urllib3.connection.HTTPConnection):
    pass


class _SecureConnection(_Plain, urllib3.connection.HTTPSConnection):
    pass
