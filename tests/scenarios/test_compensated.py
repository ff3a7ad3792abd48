"""A run with compensation: coupled, and moved by the volt/VAr function where a control centre has it."""

import textwrap

import numpy as np
import pytest

from results.runfile import Run
from scenarios.load import load
from scenarios.run import run_pairing

DEVICES = textwrap.dedent("""
    devices:
      - {name: svc1, kind: svc, feeder: dso_1.f01, bus: 8, s_mva: 3.0}
      - {name: stat1, kind: statcom, feeder: dso_1.f01, bus: 5, s_mva: 2.0}
      - {name: bank, kind: capacitor, feeder: dso_1.f01, bus: 11, s_mva: 1.2, steps: 4}
""")


@pytest.fixture
def scenario(small_path, tmp_path):
    """Return the small scenario with compensation, voltages held where reactive power is wanted."""
    path = tmp_path / "compensated.yaml"
    path.write_text(small_path.read_text(encoding="utf-8") + DEVICES, encoding="utf-8")
    return load(path, None, {"time.duration": "15 min", "disturbances": [], "limits.v_max_pu": 1.03})


def compensation(path):
    with Run(path) as run:
        run.check()
        return run.values("feeder", "compensation_mvar")


def test_by_themselves_they_hold_their_slope(scenario, tmp_path):
    q = compensation(run_pairing(scenario, "local", 1, tmp_path / "a"))
    assert np.abs(q[:, 0]).min() > 0.1
    assert np.abs(q[:, 1:]).max() == 0.0, "only the first feeder has any"
    steps = np.abs(np.diff(q[:, 0]))
    assert np.median(steps) < 0.05, "at rest between tap changes: no hunting from step to step"
    assert (steps > 0.3).sum() <= 4


def test_a_control_centre_moves_them(scenario, tmp_path):
    told = compensation(run_pairing(scenario, "centralized", 2, tmp_path / "b"))
    alone = compensation(run_pairing(scenario, "local", 1, tmp_path / "c"))
    assert np.abs(told[-1, 0] - alone[-1, 0]) > 0.1
