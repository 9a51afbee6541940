"""Tails: what a crash, a file system or an editor may leave of a journal, and what is to become of it."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass

_LINES = 3  # at the end, which are cut at every byte


@dataclass(frozen=True)
class Spoiled:
    """A journal that something was done to.

    Attributes:
        name: what was done.
        data: its bytes.
        tail: bytes that are to be reported and left out.
        refused: what is to be said, where it can't be read as a whole; None if the run is to be resumed.
    """

    name: str
    data: bytes
    tail: int = 0
    refused: str | None = None

    def __repr__(self) -> str:
        return f"journal {self.name}"

    @property
    def whole(self) -> list[dict[str, object]]:
        """The events of its whole lines."""
        return [json.loads(line) for line in self.data[: len(self.data) - self.tail].splitlines()]


def cuts(data: bytes) -> list[Spoiled]:
    """Return a journal cut at every byte of its last lines."""
    lines = data.splitlines(keepends=True)
    first = sum(map(len, lines[:-_LINES]))
    return [
        Spoiled(f"cut to {end} of {len(data)} bytes", data[:end], end - (data.rfind(b"\n", 0, end) + 1))
        for end in range(first, len(data) + 1)
    ]


def others(data: bytes, draw: random.Random) -> list[Spoiled]:
    """Return a journal with other tails, and with what no crash makes."""
    lines = data.splitlines(keepends=True)
    middle = len(lines) // 2
    head, rest = b"".join(lines[:middle]), b"".join(lines[middle:])
    block = bytes(draw.randrange(256) for _ in range(512)).replace(b"\n", b"\x0b")
    torn = '{"type":"tags","timestamp":1,"tags":{"a":"ü'.encode()
    tails = {
        "NUL bytes behind it": bytes(4096),
        "NUL bytes in place of its last line": bytes(len(lines[-1])),
        "NUL bytes and a line break behind it": bytes(300) + b"\n",
        "a block of another file behind it": block,
        "blocks with line breaks behind it": block + b"\n" + block + b"\n\n" + block,
        "a line without its break": lines[-1][:-1],
        "half of a character": torn[:-1],
        "a line of another program": b"2026-11-22 kernel: EXT4-fs error\n",
        "JSON that is no event": b'{"a": 1}\n[]\n3\n',
        "brackets without end": b"[" * 100_000 + b"\n",
        "a large tail": block * 2000,
    }
    begun = Spoiled("cut in its first line", lines[0][:50], 50, "was stopped before it began")
    spoiled = [
        begun,
        *(Spoiled(f"with {name}", _behind(data, lines, name) + tail, len(tail)) for name, tail in tails.items()),
    ]
    changed: Mapping[str, tuple[bytes, str | None]] = {
        "with a line of garbage in the middle": (head + block + b"\n" + rest, f"its first {len(head)} bytes"),
        "with NUL bytes in the middle": (head + bytes(99) + b"\n" + rest, f"its first {len(head)} bytes"),
        "with two lines glued together": (head[:-1] + rest, "others follow it"),
        "with a line of garbage first": (block + b"\n" + data, "its first line"),
        "of another program": (b"one\ntwo\n", "its first line"),
        "empty": (b"", "was stopped before it began"),
        "with the line breaks of Windows": (data.replace(b"\n", b"\r\n"), None),
        "with a byte order mark": (b"\xef\xbb\xbf" + data, None),
    }
    return spoiled + [Spoiled(name, text, 0, refused) for name, (text, refused) in changed.items()]


def _behind(data: bytes, lines: list[bytes], name: str) -> bytes:
    return b"".join(lines[:-1]) if "in place of" in name else data
