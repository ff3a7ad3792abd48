"""What is written straight to HDF5 reads like what xarray writes itself."""

from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr

from results.netcdf import write_cube


@pytest.fixture
def cube():
    dims = ("der.pv.share", "architecture", "seed")
    values = np.arange(12.0).reshape(2, 2, 3)
    values[1, 0, 2] = np.nan
    data = {
        "zeta": (dims, values, {"units": "°C", "long_name": "last by name, first by place", "comment": ""}),
        "alpha": (dims[1:], np.arange(6).reshape(2, 3), {"units": "MW"}),
    }
    coords = {dims[0]: [0.5, 2.0], "architecture": ["local", "centralized"], "seed": [1, 2, 3]}
    return xr.Dataset(data, coords, {"Conventions": "CF-1.11", "title": "größer", "level": 0.95})


@pytest.fixture
def apart():
    coords = {"kpi": ["zeta"], "units": ("kpi", ["°C"]), "seed": [1, 2]}
    return xr.Dataset({"mean": (("kpi", "seed"), [[1.0, 2.0]], {"long_name": "mean"})}, coords, {"stage": 2})


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
def test_xarray_reads_what_it_would_have_written(tmp_path, cube, apart, engine):
    ours, theirs = tmp_path / "ours.nc", tmp_path / "theirs.nc"
    write_cube(ours, cube, {"difference": apart})
    cube.to_netcdf(theirs, engine="h5netcdf")
    apart.to_netcdf(theirs, engine="h5netcdf", group="difference", mode="a")
    for group in (None, "difference"):
        with (
            xr.open_dataset(ours, engine=engine, group=group) as one,
            xr.open_dataset(theirs, engine=engine, group=group) as two,
        ):
            xr.testing.assert_identical(one.load(), two.load())
            assert list(one.data_vars) == list(two.data_vars)
            assert dict(one.sizes) == dict(two.sizes)


def test_netcdf_itself_sees_dimensions_and_text(tmp_path, cube, apart):
    write_cube(tmp_path / "cube.nc", cube, {"difference": apart})
    with netCDF4.Dataset(tmp_path / "cube.nc") as file:
        assert {name: len(dim) for name, dim in file.dimensions.items()} == {
            "der.pv.share": 2, "architecture": 2, "seed": 3,
        }  # fmt: skip
        assert file["zeta"].dimensions == ("der.pv.share", "architecture", "seed")
        assert file["architecture"][:].tolist() == ["local", "centralized"]
        assert file["difference/mean"].coordinates == "units"


def test_a_folder_that_is_not_there_is_an_os_error(cube):
    with pytest.raises(OSError, match=r"unable to (open|create) file|No such file"):
        write_cube(Path("nowhere") / "cube.nc", cube, {})
