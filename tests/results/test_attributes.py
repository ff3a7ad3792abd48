from pathlib import Path

import h5py
import numpy as np
import pytest

from results.attributes import attribute, column_of, labels_of, set_attributes


@pytest.fixture
def file(tmp_path: Path) -> h5py.File:
    return h5py.File(tmp_path / "a.h5", "w", libver="latest")


def test_texts_become_bytes_of_fixed_length(file: h5py.File) -> None:
    set_attributes(file, {"title": "Süd", "list": ["a", "bcd"], "flag": True, "n": 3, "empty": "", "none": []})
    assert file.attrs["title"] == "Süd".encode()
    assert list(file.attrs["list"]) == [b"a", b"bcd"]
    assert file.attrs["flag"].dtype == np.int8
    assert file.attrs["n"] == 3
    assert "empty" not in file.attrs
    assert "none" not in file.attrs
    assert attribute("x").dtype.kind == "S"


def test_columns_hang_on_their_labels(file: h5py.File) -> None:
    scale = labels_of(file, "bus", ["a", "ü"])
    column_of(file, "vn_kv", np.array([20.0, 0.4]), scale)
    column_of(file, "dso", ["n", "s"], scale)
    column_of(file, "open", np.array([True, False]), scale)
    assert file["vn_kv"].dims[0][0].name == "/bus"
    assert file["vn_kv"].attrs["units"] == b"kV"
    assert file["vn_kv"].fletcher32
    assert list(file["dso"].asstr()[()]) == ["n", "s"]
    assert file["open"].dtype == np.int8
