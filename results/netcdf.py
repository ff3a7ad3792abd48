"""A cube of figures as netCDF-4, written straight to HDF5."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

if TYPE_CHECKING:
    import xarray as xr


def write_cube(path: Path, cube: xr.Dataset, groups: Mapping[str, xr.Dataset]) -> None:
    """Write a dataset and its groups, for xarray and every other reader of netCDF-4.

    xarray's own writer takes a second for the sixty variables of a comparison; this one a few hundredths.
    """
    with h5py.File(path, "w", track_order=True) as file:
        numbers = itertools.count()
        _fill(file, cube, numbers)
        for name, dataset in groups.items():
            _fill(file.create_group(name, track_order=True), dataset, numbers)


def _fill(group: h5py.Group, dataset: xr.Dataset, numbers: Iterator[int]) -> None:
    """Put a dataset into an empty group; its dimensions take the next numbers of the file."""
    group.attrs.update(dataset.attrs)
    scales = {dim: _column(group, str(dim), dataset[dim]) for dim in dataset.sizes}
    for dim, scale in scales.items():
        scale.make_scale(str(dim))
        scale.attrs["_Netcdf4Dimid"] = np.int32(next(numbers))
    aside = {name: set(dataset[name].dims) for name in dataset.coords if name not in scales}
    for name in (*aside, *dataset.data_vars):
        values = dataset[name]
        column = _column(group, str(name), values)
        for axis, dim in enumerate(values.dims):
            column.dims[axis].attach_scale(scales[dim])
        if name not in aside:
            beside = [str(other) for other, dims in aside.items() if dims <= set(values.dims)]
            column.attrs.update({"coordinates": " ".join(beside)} if beside else {})


def _column(group: h5py.Group, name: str, values: xr.DataArray) -> h5py.Dataset:
    array = values.values
    if array.dtype.kind in "UO":
        texts = np.array([str(x) for x in array.ravel()], dtype=object).reshape(array.shape)
        column = group.create_dataset(name, data=texts, dtype=h5py.string_dtype("utf-8"))
    else:
        column = group.create_dataset(name, data=array)
    column.attrs.update(values.attrs)
    return column
