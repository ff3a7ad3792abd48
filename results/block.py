"""The newest rows of datasets, laid out in memory as the chunks they become in the run file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np
from numba import njit
from numpy.typing import NDArray

_SUM = 4
"""Bytes of checksum that HDF5 keeps behind each chunk."""
_GAP = 64
"""Room for it in memory; a multiple of the items' size keeps every chunk aligned."""
_EVERY = slice(None)
_SWAP = 256 if sys.byteorder == "little" else 1
"""What exchanging the bytes of every word does to its sum, modulo 65535: HDF5 reads words high byte first."""


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _sums(words: NDArray[np.uint16]) -> tuple[np.uint64, np.uint64]:
    """Return Fletcher's two sums, modulo 65535: of the words, and of the running sum."""
    one = two = np.uint64(0)
    start = 0
    while start < words.size:
        part = words[start : min(start + 256, words.size)]  # so few that 32 bits hold their sums
        plain = weighted = np.uint32(0)
        for k in range(part.size):
            plain += part[k]
            weighted += np.uint32(k) * part[k]
        size = np.uint64(part.size)
        two = (two + size * one + size * np.uint64(plain) - np.uint64(weighted)) % np.uint64(65535)
        one = (one + np.uint64(plain)) % np.uint64(65535)
        start += part.size
    return one, two


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _seal(chunks: NDArray[np.uint8], size: int, swap: int) -> None:
    """Write the Fletcher-32 of the first `size` bytes of each chunk behind them, low byte first."""
    for row in range(len(chunks)):  # by number: over views of them the inner loop would not be vectorized
        words = chunks[row, :size].view(np.uint16)
        one, two = _sums(words)
        # Folded sums of 16 bits are never 0 unless every word is.
        one, two = one * np.uint64(swap) % np.uint64(65535), two * np.uint64(swap) % np.uint64(65535)
        if (one == 0 or two == 0) and words.any():
            one, two = one if one else np.uint64(65535), two if two else np.uint64(65535)
        found = two << np.uint64(16) | one
        for k in range(4):
            chunks[row, size + k] = found >> np.uint64(8 * k) & np.uint64(255)


class Block:
    """A block of rows of datasets of one form, filled in place and written as whole chunks.

    HDF5 would copy the rows into chunks of its own and sum up each chunk with a slow loop; here they lie in
    memory as in the file, a compiled loop sums them up, and `H5Dwrite_chunk` takes them as they are. Readers see
    ordinary datasets with Fletcher-32.

    Parameters
    ----------
    datasets : sequence of h5py.Dataset
        One or more, alike in type, shape and chunks: one or two dimensions, chunked, of `f4`, `f8`, `i4` or `i8`, with
        Fletcher-32 as their only filter. A block is one chunk high and as wide as the datasets.
    """

    def __init__(self, datasets: Sequence[h5py.Dataset]) -> None:
        data = datasets[0]
        self.rows, width = data.chunks if data.ndim == 2 else (data.chunks[0], 1)
        self._shape = data.shape[1:]
        labels = data.shape[1] if data.ndim == 2 else 1
        count, item = -(-labels // width), data.dtype.itemsize
        self._ids, self._fill = [d.id for d in datasets], data.fillvalue
        self._size = self.rows * width * item
        self._raw = np.zeros((len(datasets) * count, self._size + _GAP), dtype="u1")
        strides = (count * (self._size + _GAP), self._size + _GAP, width * item, item)
        form = (len(datasets), count, self.rows, width)
        self._cells = np.ndarray(form, data.dtype, self._raw.data, strides=strides)
        self._cells[:] = self._fill
        self._starts = [(k * width,) if data.ndim == 2 else () for k in range(count)]
        self._split, self._width = (count - 1) * width, width
        self._last = self._cells[:, -1, :, : labels - self._split] if data.ndim == 2 else self._cells[:, 0, :, 0]
        self._used = False

    def put(self, row: int | slice, values: NDArray[Any], which: int | slice = _EVERY) -> None:
        """Set rows of one dataset (`which`) or of all.

        `values` has a value for each label, one value for all of them, or, in one dimension, a value for each row;
        for several datasets it has the dataset as first axis.
        """
        if self._split and values.ndim:
            self._cells[which, :-1, row] = values[..., : self._split].reshape(*values.shape[:-1], -1, self._width)
            self._last[which, row] = values[..., self._split :]
        elif self._split:
            self._cells[which, :, row] = values
        else:
            self._last[which, row] = values

    def write(self, first: int, filled: int) -> None:
        """Write the first `filled` rows to the datasets, from their row `first` on, which begins a chunk."""
        if filled < self.rows and self._used:
            self._cells[:, :, filled:] = self._fill  # what the block before left there
        self._used = filled == self.rows
        _seal(self._raw, self._size, _SWAP)
        chunks = iter(self._raw[:, : self._size + _SUM])
        for dataset in self._ids:
            dataset.set_extent((first + filled, *self._shape))
            for start in self._starts:
                dataset.write_direct_chunk((first, *start), next(chunks))
