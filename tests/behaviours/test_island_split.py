"""A cell with surplus islands on little inertia: who answers how fast decides how far its frequency rises."""

import numpy as np
import pytest

from results.runfile import Run
from scenarios.load import load
from scenarios.run import run_pairing

ISLAND = 1
PAIRINGS = (("local", 1), ("centralized", 1), ("local", 4), ("centralized", 4), ("distributed", 4))


@pytest.fixture(scope="module")
def peak_hz(tmp_path_factory):
    """Highest frequency of the islanded cell by pairing, a minute after its ties have opened."""
    found, folder = {}, tmp_path_factory.mktemp("island")
    for pairing in PAIRINGS:
        with Run(run_pairing(load("island_split", None, {"time.duration": "2 min"}), *pairing, folder)) as run:
            f_hz = run.values("cell_fine", "f_hz")
            assert np.ptp(f_hz[-1]) > 0.05, "the cell is on its own"
            found[pairing] = float(np.nanmax(f_hz[:, ISLAND]))
    return found


def test_before_the_transfer_all_depends_on_the_devices_own_answer(peak_hz):
    assert peak_hz["local", 1] == pytest.approx(peak_hz["centralized", 1], abs=1e-6)


def test_with_what_stage_four_adds_the_rise_is_less_in_every_architecture(peak_hz):
    rise = {pairing: f_hz - 50.0 for pairing, f_hz in peak_hz.items()}
    assert 0.5 < rise["local", 1] < 1.5, "P(f) of inverters alone keeps them on"
    for architecture in ("local", "centralized", "distributed"):
        assert rise[architecture, 4] < 0.85 * rise["local", 1]


def test_a_control_centre_that_has_ordered_only_what_is_owed_leaves_less_to_answer_with(peak_hz):
    """Batteries offer half of their rating by themselves; the centre has asked for a tenth of the cell's bias."""
    assert peak_hz["centralized", 4] > peak_hz["local", 4] + 0.05
    assert peak_hz["centralized", 4] > peak_hz["distributed", 4] + 0.05, "agents have not come to order any yet"
