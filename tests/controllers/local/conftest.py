"""Terminals for the laws; the DSO of the centralized tests for the crew."""

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest


@dataclass
class FakeTerminal:
    v_pu: np.ndarray
    f_hz: np.ndarray
    rocof_hz_s: np.ndarray
    p_mw: np.ndarray
    q_mvar: np.ndarray
    p_avail_mw: np.ndarray
    p_rated_mw: np.ndarray
    s_rated_mva: np.ndarray
    soc: np.ndarray
    p_up_mw: np.ndarray
    p_dn_mw: np.ndarray
    droop_mw_per_hz: np.ndarray
    inertia_mw_s_per_hz: np.ndarray


@pytest.fixture
def terminal():
    def make(count=1, **given):
        values = {
            "v_pu": 1.0, "f_hz": 50.0, "rocof_hz_s": 0.0, "p_mw": 1.0, "q_mvar": 0.0, "p_rated_mw": 1.0,
            "s_rated_mva": 1.1, "soc": 0.5, "p_up_mw": 0.0, "p_dn_mw": 1.0, "droop_mw_per_hz": np.nan,
            "inertia_mw_s_per_hz": np.nan, **given,
        }
        values.setdefault("p_avail_mw", values["p_mw"])
        return FakeTerminal(**{k: np.broadcast_to(np.asarray(v, float), (count,)).copy() for k, v in values.items()})

    return make


@pytest.fixture
def kit():
    path = Path(__file__).parents[1] / "centralized" / "conftest.py"
    if "centralized_kit" not in sys.modules:
        spec = importlib.util.spec_from_file_location("centralized_kit", path)
        module = importlib.util.module_from_spec(spec)
        sys.modules["centralized_kit"] = module
        spec.loader.exec_module(module)
    return sys.modules["centralized_kit"].Kit
