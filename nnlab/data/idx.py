"""The IDX format of the MNIST files: big-endian header, then unsigned bytes.

Header: two zero bytes, one byte for the type (8 = unsigned byte), one for the number of dimensions, then each
dimension as a 32-bit number. Nothing may follow the data.
"""

import gzip
import io
import math
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

GZIP_MAGIC = b"\x1f\x8b"
UNSIGNED_BYTE = 8
MAX_BYTES = 64 * 2**20  # the largest MNIST file has 47 MB; more than this is an archive that explodes


def uncompressed(content: bytes) -> bytes:
    """Undo gzip if there is any; an IDX file begins with a zero byte, so the two cannot be mistaken.

    Args:
        content: a file, gzipped or not.

    Returns:
        The bytes of the uncompressed file.

    Raises:
        ValueError: the archive is damaged, or holds more than 64 MiB.
    """
    if not content.startswith(GZIP_MAGIC):
        return content
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as archive:
            result = archive.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"damaged gzip archive ({error})") from error
    if len(result) > MAX_BYTES:
        raise ValueError(f"gzip archive of more than {MAX_BYTES // 2**20} MiB")
    return result


def parse_idx(content: bytes, dimensions: int) -> NDArray[np.uint8]:
    """Read an uncompressed IDX file of unsigned bytes.

    Args:
        content: the whole file.
        dimensions: how many dimensions it must have: 1 for labels, 3 for images.

    Returns:
        Read-only view of the file, in the shape its header gives: [n] or [n, rows, columns].

    Raises:
        ValueError: it is not such a file, or its length is not exactly what the header says.
    """
    magic = bytes((0, 0, UNSIGNED_BYTE, dimensions))
    if content[:4] != magic:
        raise ValueError(f"IDX magic number is {content[:4].hex() or 'absent'}, expected {magic.hex()}")
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise ValueError(f"IDX header is cut short: {len(content)} of {start} bytes")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if len(content) != start + math.prod(shape):
        raise ValueError(f"IDX header promises {start + math.prod(shape)} bytes, the file has {len(content)}")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
