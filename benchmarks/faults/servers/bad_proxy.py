"""Bad proxy: stands in front of a server on this machine and spoils a share of what passes, until it gets well."""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from typing import Any

HOST = "127.0.0.1"
_SHARE = 0.4  # of the requests is spoilt
_CHUNK = b"x" * 65536
_ENDLESS = 4000  # chunks, 262 MB

Pass = Callable[[], bytes]
"""Passes a request on, and returns the whole answer."""


class Proxy:
    """A proxy of one kind; a context manager.

    Args:
        kind: of ``KINDS``.
        port: of the server that it stands for.
        bad: requests until it gets well by itself.
        seed: of what it does.

    Attributes:
        port: its own.
        spoilt: requests that it has spoilt.
    """

    def __init__(self, kind: str, port: int, bad: int, seed: int) -> None:
        self.spoilt = 0
        self._left, self._target = bad, port
        self._spoil, self._draw = KINDS[kind], random.Random(seed)
        self._lock = threading.Lock()
        self._server = _Listener((HOST, 0), _Handler)
        self._server.proxy = self
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def get_well(self) -> None:
        """Spoil nothing from now on."""
        with self._lock:
            self._left = 0

    def handle(self, client: socket.socket) -> None:
        """Take a connection, which is good for one request."""
        with self._lock:
            self._left -= 1
            is_bad = self._left >= 0 and self._draw.random() < _SHARE
            draw = random.Random(self._draw.random())
            self.spoilt += is_bad
        if is_bad and self._spoil is _drop and draw.random() < 0.2:  # before it is read
            return
        request = _read(client)
        if not request:
            return

        def on() -> bytes:
            return _ask(self._target, request)

        if is_bad:
            self._spoil(client, on, draw)
        else:
            client.sendall(on())


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64
    proxy: Proxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: that connections break is what this is for."""


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.server.proxy.handle(self.request)  # type: ignore[attr-defined]


def _read(client: socket.socket) -> bytes:
    """Read one request, as MLflow's client sends them: with the length of the body."""
    client.settimeout(60)
    data = b""
    while b"\r\n\r\n" not in data:
        part = client.recv(65536)
        if not part:
            return b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith((b"connection:", b"host:"))]
    length = next((int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        part = client.recv(65536)
        if not part:
            return b""
        body += part
    return b"\r\n".join([*lines, b"Host: localhost", b"Connection: close"]) + b"\r\n\r\n" + body


def _ask(port: int, request: bytes) -> bytes:
    with socket.create_connection((HOST, port), timeout=60) as server:
        server.sendall(request)
        answer = http.client.HTTPResponse(server)
        answer.begin()
        body = answer.read()
    return _answer(f"{answer.status} {answer.reason}", body, answer.getheader("Content-Type") or "text/plain")


def _answer(status: str, body: bytes, kind: str = "application/json", *headers: str) -> bytes:
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join([*lines, *headers]).encode() + b"\r\n\r\n" + body


def _slow(client: socket.socket, on: Pass, draw: random.Random) -> None:
    """Take seconds, sometimes more than the client waits, and answer byte by byte, as it were."""
    time.sleep(draw.choice((0.3, 1.0, 2.0, 7.0)))
    answer = on()
    step = max(1, len(answer) // 20)
    for start in range(0, len(answer), step):
        client.sendall(answer[start : start + step])
        time.sleep(0.05)


def _fail(client: socket.socket, on: Pass, draw: random.Random) -> None:
    if draw.random() < 0.5:
        on()
    status = draw.choice(("500 Internal Server Error", "429 Too Many Requests", "502 Bad Gateway", "503 Unavailable"))
    client.sendall(_answer(status, b"<html>no</html>", "text/html", "Retry-After: 3600"))


def _babble(client: socket.socket, on: Pass, draw: random.Random) -> None:
    """Answer with something else, whether or not it was passed on."""
    answer = on() if draw.random() < 0.5 else _answer("200 OK", b'{"run": {"info": {"run_id": "%032x"}}}' % 7)
    garbage: list[Callable[[], bytes]] = [
        lambda: _answer("200 OK", f"<html>{draw.random()}</html>".encode(), "text/html"),
        lambda: answer[: -len(answer.partition(b"\r\n\r\n")[2]) // 2 or None],
        lambda: _answer("200 OK", draw.choice((b"{}", b"[]", b"null", b'{"run": {}}', b'{"runs": [{}]}', b'{"a": 1}'))),
        lambda: _answer("200 OK", draw.randbytes(5000)),
        lambda: draw.randbytes(3000),
        lambda: b"HTTP/1.1 200 OK\r\nX: " + _CHUNK * 2 + b"\r\n\r\n{}",
        lambda: b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n{}",
        lambda: _answer("307 Elsewhere", b"", "text/html", "Location: http://127.0.0.1:9/"),
        lambda: answer.replace(b"Content-Length: ", b"Content-Length: 9"),
        lambda: _answer("200 OK", b"{}" * 9, "application/json", "Content-Encoding: gzip"),
        lambda: _answer("404 Not Found", b'{"error_code": ["x"], "message": {}}'),
    ]
    if draw.random() < 0.1:
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        for _ in range(_ENDLESS):
            client.sendall(_CHUNK)
    else:
        client.sendall(draw.choice(garbage)())


def _drop(client: socket.socket, on: Pass, draw: random.Random) -> None:
    """Close the connection at once, when it was passed on, or in the middle of the answer."""
    if draw.random() < 0.7:
        answer = on()
        if draw.random() < 0.5:
            client.sendall(answer[: draw.randrange(len(answer))])
    with contextlib.suppress(OSError):  # as a reset as often as an orderly end
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, draw.choice((b"\0" * 8, b"\1\0\0\0\0\0\0\0")))


KINDS = {"slow": _slow, "errors": _fail, "garbage": _babble, "drops": _drop}
"""What it does, by name."""
