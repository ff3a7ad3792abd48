from pathlib import Path

import h5py
import numpy as np
import pytest

from results.digest import digest, vouch, vouched


@pytest.fixture
def group(tmp_path: Path) -> h5py.Group:
    file = h5py.File(tmp_path / "d.h5", "w")
    file.attrs["title"] = np.bytes_("t")
    file.create_dataset("names", data=np.array(["ab", "c"], dtype=object), dtype=h5py.string_dtype("utf-8"))
    file.create_dataset("numbers", data=np.arange(3.0)).attrs["units"] = np.bytes_("MW")
    return file


def test_texts_and_attributes_count_and_numbers_do_not(group: h5py.Group) -> None:
    before = digest(group)
    group["numbers"][0] = 7.0  # Fletcher-32 guards these
    assert digest(group) == before
    group["numbers"].attrs.modify("units", np.bytes_("kW"))
    assert digest(group) != before


def test_texts_run_together_are_told_apart(group: h5py.Group) -> None:
    before = digest(group)
    group["names"][...] = np.array(["a", "bc"], dtype=object)
    assert digest(group) != before


def test_an_attribute_more_is_seen_and_the_digest_itself_is_not(group: h5py.Group) -> None:
    before = digest(group)
    group.attrs["digest"] = np.bytes_("x")
    assert digest(group) == before
    group.attrs["more"] = 1
    assert digest(group) != before


def test_who_vouches_is_believed_until_the_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "run.h5"
    file.write_bytes(b"one")
    assert not vouched(file)
    vouch(file)
    assert vouched(file)
    assert vouched(tmp_path / "." / "run.h5")
    file.write_bytes(b"other")
    assert not vouched(file)
