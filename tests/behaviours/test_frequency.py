"""Frequency followed through whole runs: from the loss of a power station to its restoration."""

import json
from pathlib import Path

import numpy as np
import pytest

from results.runfile import Run
from scenarios.load import load
from scenarios.run import run_pairing
from scenarios.shipped import transmission_path
from sims.core.errors import ModelError
from sims.transmission.case import MachineCase

SMALL = Path(__file__).parents[1] / "scenarios" / "data" / "small.yaml"
EIGHT_MINUTES = {
    "time.duration": "8 min",
    "transmission.frequency.model": "dynamic",
    "disturbances": [{"at": "2 min", "kind": "generator_trip", "generator": "G8"}],
}


@pytest.fixture(scope="module")
def lost(tmp_path_factory):
    """The loss of a power station at 2 min, devices answering by themselves."""
    with Run(run_pairing(load(SMALL, None, EIGHT_MINUTES), "local", 4, tmp_path_factory.mktemp("lost"))) as run:
        yield run


def test_nadir_and_slope_are_those_of_the_machines(lost):
    m = MachineCase.load(transmission_path("ieee39")).machines
    g8 = m.names.index("G8")
    before = lost.values("gen", "p_mw")[1].astype(float)
    stored_mws = np.delete(m.stored_mws, g8).sum()
    t, f = lost.seconds("gen_fine"), lost.values("gen_fine", "f_hz").astype(float)
    running = np.delete(f, g8, axis=1) @ np.delete(m.stored_mws, g8) / stored_mws
    assert t[:2] == pytest.approx([120.0, 120.02])
    # the centre of inertia of those left falls by dP f0 / 2 E
    assert (running[5] - running[0]) / 0.1 == pytest.approx(-before[g8] * 50.0 / (2 * stored_mws), rel=0.1)
    kpis = {name: lost.kpis[name] for name in ("frequency_rocof_hz_per_s", "frequency_lowest_hz")}
    assert 0.5 < kpis["frequency_rocof_hz_per_s"] / (before[g8] * 50.0 / (2 * stored_mws)) < 2.0
    assert kpis["frequency_lowest_hz"] == lost.values("cell_fine", "f_hz").min()
    nadir_hz = f[t < 125.0][:, :g8].min()
    assert nadir_hz < lost.values("cell", "f_hz")[3].min() - 1e-3  # the grid step does not see it


def test_steps_are_fine_while_machines_move_then_of_four_seconds_then_those_of_the_grid(lost):
    t = lost.seconds("cell_fine")
    assert np.allclose(np.diff(t[t < 122]), 0.02)
    gaps = np.diff(t)
    rests = int(np.flatnonzero(gaps > 0.03)[0])
    assert 122 < t[rests] < 180
    assert set(np.round(gaps[rests + 1 :])) <= {4.0, 8.0}  # 8 over a grid step, which has rows of its own
    assert lost.seconds("cell").tolist() == [60.0 * k for k in range(8)]


def test_half_the_coupling_interval_changes_the_extremes_by_less_than_a_hundredth(lost, tmp_path):
    finer = EIGHT_MINUTES | {"time.duration": "3 min", "transmission.frequency.coupling": "10 ms"}
    with Run(run_pairing(load(SMALL, None, finer), "local", 4, tmp_path)) as run:
        assert run.seconds("cell_fine")[1] == pytest.approx(120.01)
        for kind, quantity in (("cell_fine", "f_hz"), ("interface_fine", "der_mw")):
            coarse, fine = (r.values(kind, quantity).astype(float) for r in (lost, run))
            coarse = coarse[: np.searchsorted(lost.seconds(kind), 180.0)]
            swing = [np.abs(x - x[0]).max(axis=0) for x in (coarse, fine)]
            np.testing.assert_allclose(swing[1], swing[0], rtol=0.01)


def test_only_what_the_scenario_declares_is_recorded_of_it(tmp_path):
    wanted = EIGHT_MINUTES | {"time.duration": "3 min", "record": {"fine": ["cell.f_hz", "interface.der_mw"]}}
    with Run(run_pairing(load(SMALL, None, wanted), "local", 1, tmp_path)) as run:
        assert run.has("cell_fine", "f_hz")
        assert run.has("interface_fine", "der_mw")
        assert not run.has("cell_fine", "p_tie_mw")
        assert not run.has("gen_fine", "f_hz")


def test_machines_that_run_away_end_the_run_with_time_and_place_and_a_readable_file(tmp_path):
    blown = EIGHT_MINUTES | {"disturbances": [{"at": "2 min", "kind": "load_step", "bus": 15, "p_mw": 6000.0}]}
    with pytest.raises(ModelError, match=r"(transmission|G\d+) at 1[23]\d\.\d+ s: (voltage collapse|runs away)"):
        run_pairing(load(SMALL, None, blown), "local", 1, tmp_path)
    with Run(tmp_path / "local-1.h5") as run:
        assert run.status == "aborted"
        assert run.seconds("cell").tolist() == [0.0, 60.0, 120.0]


def test_machine_data_that_cannot_be_initialised_name_machine_and_limit(tmp_path):
    table = json.loads(transmission_path("ieee39").read_text())
    governor = table["machine"][0]["governor"]
    governor["v_max"] = 0.1
    (tmp_path / "weak.json").write_text(json.dumps(table))
    path = tmp_path / "s.yaml"
    path.write_text(SMALL.read_text().replace("grid: ieee39", "grid: ./weak.json"))
    name = table["machine"][0]["name"]
    with pytest.raises(ModelError, match=rf"{name} at .*cannot be initialised: valve position .* outside its limits"):
        run_pairing(load(path, None, EIGHT_MINUTES | {"time.duration": "3 min"}), "local", 1, tmp_path / "out")
