"""How texts, numbers and names are put into a run file so that every reader understands them, and taken out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np

from results.layout import standard_name_of, unit_of

_TEXT = h5py.string_dtype("utf-8")


def attribute(value: Any) -> Any:
    """Return `value` as an attribute every reader understands: fixed-length bytes, or numbers."""
    if isinstance(value, (str, np.str_)):
        return np.bytes_(value.encode())
    if isinstance(value, (bool, np.bool_)):
        return np.int8(value)
    array = np.asarray(value)
    if array.dtype.kind in "UO":
        return np.array([str(v).encode() for v in array.ravel()])
    return array[()]


def set_attributes(thing: h5py.Group | h5py.Dataset, values: Mapping[str, Any]) -> None:
    """Write attributes; an empty text is left out, for HDF5 has no fixed-length text of length 0."""
    for name, value in values.items():
        if not (isinstance(value, str) and not value) and np.size(value):
            thing.attrs[name] = attribute(value)


def labels_of(group: h5py.Group, name: str, labels: Sequence[str]) -> h5py.Dataset:
    """Create the names along a dimension, as its scale; texts of variable length, which `sel` needs."""
    scale = group.create_dataset(name, data=np.array([str(x) for x in labels], dtype=object), dtype=_TEXT)
    scale.make_scale(name)
    return scale


def column_of(group: h5py.Group, name: str, values: Any, scale: h5py.Dataset) -> None:
    """Create a column of numbers or texts along `scale`."""
    array = np.asarray(values)
    if array.dtype.kind in "UOS":
        texts = np.array([str(x) for x in array], dtype=object)
        column = group.create_dataset(name, data=texts, dtype=_TEXT)
    else:
        array = array.astype("i1") if array.dtype.kind == "b" else array
        column = group.create_dataset(name, data=array, chunks=(min(len(array), 65536),), fletcher32=True)
        units = {"units": unit_of(name), "standard_name": standard_name_of(name)}
        set_attributes(column, units if name != "index" else {})
    set_attributes(column, {"long_name": name.replace("_", " ")})
    column.dims[0].attach_scale(scale)


def plain(value: Any) -> Any:
    """Return an attribute as a plain value: text, number, or list of texts."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray) and value.dtype.kind == "S":
        return [v.decode() for v in value]
    return value.item() if isinstance(value, np.generic) else value
