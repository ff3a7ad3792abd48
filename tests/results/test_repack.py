import shutil
from collections.abc import Callable
from pathlib import Path

import h5netcdf
import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr

from results.difference import diff
from results.export import export
from results.layout import Kind, Quantity
from results.runfile import Run
from results.writer import RunWriter


def test_a_repacked_run_is_the_same_run_in_less_room(day_run: Callable[..., Path]) -> None:
    path = day_run("centralized", 3)
    small = export(path, "nc")
    assert small.stat().st_size < 0.6 * path.stat().st_size
    assert diff(path, small).same
    with Run(small) as run:
        run.check()
        assert run.attrs["stage"] == 3
        assert "not yours to move" in run.texts("actions", "refused")
    with h5py.File(small) as file:
        vm = file["bus/vm_pu"]
        assert (vm.compression, vm.shuffle, vm.fletcher32) == ("gzip", True, True)


@pytest.mark.parametrize("form", ["h5", "nc"])
def test_xarray_h5netcdf_and_netcdf4_read_the_same_numbers(day_run: Callable[..., Path], form: str) -> None:
    path = day_run("distributed", 2)
    path = export(path, "nc") if form == "nc" else path
    with Run(path) as run:
        want, labels = run.values("bus", "vm_pu"), run.labels("bus")
    for engine in ("h5netcdf", "netcdf4"):
        with xr.open_datatree(path, engine=engine) as tree:
            bus = tree["bus"]
            assert bus.vm_pu.dims == ("time", "bus")
            assert list(bus.bus.values) == labels
            assert str(bus.time.values[1])[:16] == "2026-06-21T00:05"
            np.testing.assert_array_equal(bus.vm_pu.values, want)
    with h5netcdf.File(path, decode_vlen_strings=True) as data:
        np.testing.assert_array_equal(data["bus"]["vm_pu"][:], want)
    with netCDF4.Dataset(path) as data:
        np.testing.assert_array_equal(np.ma.filled(data["bus"]["vm_pu"][:], np.nan), want)
        assert list(data["bus"]["bus"][:]) == labels


def test_rows_that_were_not_committed_are_left_out(tmp_path: Path) -> None:
    kinds = [Kind("bus", ["a"], [Quantity("vm_pu", "1", "v")])]
    writer = RunWriter(tmp_path / "live.h5", attrs={}, start_iso="2026-01-01", kinds=kinds)
    for k in range(10):
        writer.append("bus", k * 1000, {"vm_pu": [float(k)]})
    writer.flush()
    for k in range(10, 14):
        writer.append("bus", k * 1000, {"vm_pu": [float(k)]})
    writer.series["bus"].write_rows()
    writer.series["bus"].time.file.flush()
    left = tmp_path / "left.h5"
    shutil.copyfile(tmp_path / "live.h5", left)
    writer.close()
    with h5py.File(export(left, "nc")) as file:
        assert file["bus/vm_pu"].shape == (10, 1)
    with h5py.File(export(left, "nc", only=["bus"])) as file:
        assert set(file) == {"bus", "provenance", "status"}
