"""A block lies in the file byte for byte as HDF5 itself would have written its rows."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from results.block import Block

ROWS, LABELS, WIDTH = 6, 11, 4


def dataset(file: h5py.File, name: str, dtype: str, *, flat: bool = False, rows: int = ROWS) -> h5py.Dataset:
    if flat:
        return file.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(rows,), fletcher32=True)
    shape, chunks = (None, LABELS), (rows, WIDTH)
    fill = np.nan if dtype[0] == "f" else 0
    return file.create_dataset(
        name, (0, LABELS), dtype, maxshape=shape, chunks=chunks, fletcher32=True, fillvalue=fill
    )


def chunks(data: h5py.Dataset) -> dict[tuple[int, ...], bytes]:
    found = {}
    for k in range(data.id.get_num_chunks()):
        at = data.id.get_chunk_info(k).chunk_offset
        found[at] = data.id.read_direct_chunk(at)[1]
    return found


def numbers(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Any:
    return rng.integers(0, 256, (*shape, int(dtype[1])), dtype="u1").view(dtype)[..., 0]  # any bit pattern


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "i8"])
@pytest.mark.parametrize("flat", [False, True])
def test_chunks_are_those_of_hdf5_with_their_checksums(tmp_path: Path, dtype: str, flat: bool) -> None:
    values = numbers(np.random.default_rng(5), (2 * ROWS + 2,) if flat else (2 * ROWS + 2, LABELS), dtype)
    with h5py.File(tmp_path / "x.h5", "w", libver="latest") as file:
        ours, theirs = (dataset(file, name, dtype, flat=flat) for name in ("ours", "theirs"))
        file.swmr_mode = True
        block = Block([ours])
        for row, value in enumerate(values):
            block.put(row % ROWS, value)
            if row % ROWS in (2, ROWS - 1) or row == len(values) - 1:  # half a block, a whole one, the rest
                block.write(row // ROWS * ROWS, row % ROWS + 1)
        theirs.resize(len(values), axis=0)
        theirs[...] = values
        file.flush()
        assert chunks(ours) == chunks(theirs)
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["ours"][...].tobytes() == values.tobytes()


@pytest.mark.parametrize("words", [
    [0, 0, 0, 0], [0xFFFF] * 4, [0xFFFF, 0, 0, 0], [0, 0, 0, 0xFFFF], [1, 0xFFFE, 0, 0], [0xFFFE, 1, 0, 0],
    [0x0001, 0xFFFD, 0x0001, 0], [0x00FF, 0xFF00, 0, 0],
])  # fmt: skip
@pytest.mark.parametrize("times", [1, 90, 1000])
def test_sums_of_nothing_and_full_turns_are_folded_as_hdf5_folds_them(
    tmp_path: Path, words: list[int], times: int
) -> None:
    values = np.array(words * times, dtype="u2").view("i8")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        ours, theirs = (dataset(file, name, "i8", flat=True, rows=times) for name in ("ours", "theirs"))
        block = Block([ours])
        block.put(slice(0, times), values)
        block.write(0, times)
        theirs.resize(times, axis=0)
        theirs[...] = values
        assert chunks(ours) == chunks(theirs)
        assert ours[...].tolist() == values.tolist()


def test_a_value_for_all_labels_and_rows_that_nobody_gave(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        data = dataset(file, "x", "f4")
        block = Block([data])
        block.put(0, np.asarray(1.5))
        block.put(2, np.arange(LABELS))
        block.write(0, 3)
        assert (data[0] == 1.5).all()
        assert np.isnan(data[1]).all()
        assert data[2].tolist() == list(range(LABELS))


def test_every_flipped_bit_of_a_chunk_is_seen_by_hdf5(tmp_path: Path) -> None:
    path, rng = tmp_path / "x.h5", np.random.default_rng(8)
    with h5py.File(path, "w") as file:
        data = dataset(file, "x", "f4")
        block = Block([data])
        for row in range(ROWS):
            block.put(row, rng.standard_normal(LABELS))
        block.write(0, ROWS)
        place = data.id.get_chunk_info(1)
    sound = path.read_bytes()
    for bit in rng.choice(8 * place.size, 60, replace=False).tolist():
        raw = bytearray(sound)
        raw[place.byte_offset + bit // 8] ^= 1 << bit % 8
        path.write_bytes(raw)
        with h5py.File(path) as file, pytest.raises(OSError, match="filter returned failure"):
            file["x"][...]
