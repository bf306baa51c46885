"""Arrays out of a TensorFlow checkpoint with numpy alone: no TensorFlow, nothing executed.

``.index`` is a sorted string table (LevelDB's format, uncompressed) of protocol-buffer entries;
``.data-00000-of-00001`` holds the numbers they point to.
"""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attm_core.errors import AssetError

MAGIC = bytes.fromhex("57fb808b247547db")
FLOAT = 1  # tensorflow.DataType.DT_FLOAT


def read_checkpoint(folder: Path) -> dict[str, NDArray[np.float32]]:
    """The float variables of a checkpoint without a name, by name; else ``AssetError``."""
    try:
        index = (folder / ".index").read_bytes()
        data = (folder / ".data-00000-of-00001").read_bytes()
        if index[-8:] != MAGIC:
            raise ValueError("no sorted string table")
        return dict(_variables(index, data))
    except (OSError, ValueError, IndexError) as error:
        raise AssetError(f"{folder} holds no readable checkpoint ({error})") from error


def _variables(index: bytes, data: bytes) -> Iterator[tuple[str, NDArray[np.float32]]]:
    _, at = _block_handle(index, len(index) - 48)  # of the metaindex, which is empty
    blocks, _ = _block_handle(index, at)
    for _, handle in _rows(index, blocks):
        for key, entry in _rows(index, _block_handle(handle, 0)[0]):
            fields = dict(_fields(entry))
            if not key or fields.get(1) != FLOAT:
                continue
            sizes = [dict(_fields(dim)).get(1, 1) for _, dim in _fields(fields.get(2, b""))]
            start = fields.get(4, 0)
            values = np.frombuffer(data, "<f4", count=prod(sizes), offset=start)
            yield key.decode(), values.reshape(sizes).copy()


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (raw[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if raw[at - 1] < 128:
            return value, at


def _block_handle(raw: bytes, at: int) -> tuple[tuple[int, int], int]:
    offset, at = _varint(raw, at)
    size, at = _varint(raw, at)
    return (offset, size), at


def _rows(table: bytes, block: tuple[int, int]) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block; each key is told by how it differs from the one before."""
    offset, size = block
    if table[offset + size] != 0:
        raise ValueError("a compressed block")
    raw = table[offset : offset + size]
    end = size - 4 - 4 * int.from_bytes(raw[-4:], "little")
    at, key = 0, b""
    while at < end:
        shared, at = _varint(raw, at)
        own, at = _varint(raw, at)
        length, at = _varint(raw, at)
        key = key[:shared] + raw[at : at + own]
        yield key, raw[at + own : at + own + length]
        at += own + length


def _fields(raw: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of a protocol-buffer message's fields."""
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _varint(raw, at)
            yield number, value
        elif kind == 2:
            length, at = _varint(raw, at)
            yield number, raw[at : at + length]
            at += length
        elif kind == 5:
            at += 4
        else:
            raise ValueError(f"a field of kind {kind}")
