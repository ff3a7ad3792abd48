import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from sims.transmission.case import MachineCase
from sims.transmission.dynamics import Dynamics
from sims.transmission.network import admittance

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "tests" / "data" / "frequency"


def newton(case, boundary_mva=None, online=None):
    """Solve the case by Newton's method in polar form, with a dense numerical Jacobian."""
    m = case.machines
    y = admittance(case, np.ones(len(case.branch_from), bool)).toarray()
    s = np.zeros(case.n_bus, complex) if boundary_mva is None else np.array(boundary_mva, complex)
    np.add.at(s, case.load_bus, -case.load_mva)
    np.add.at(s, m.bus, m["p_mw"])
    s /= case.base_mva
    vm = np.ones(case.n_bus)
    vm[m.bus] = m["v_pu"]
    slack = m.bus[case.slack]
    pq = np.setdiff1d(np.arange(case.n_bus), m.bus)
    pv = np.setdiff1d(np.arange(case.n_bus), [slack])
    va = np.full(case.n_bus, np.radians(case.slack_deg))
    for _ in range(20):
        v = vm * np.exp(1j * va)
        i = y @ v
        miss = v * np.conj(i) - s
        f = np.concatenate([miss.real[pv], miss.imag[pq]])
        if np.abs(f).max() < 1e-11:
            return v
        by_va = 1j * np.diag(v) @ np.conj(np.diag(i) - y * v)
        by_vm = np.diag(v) @ np.conj(y * (v / vm)) + np.diag(np.conj(i) * v / vm)
        jac = np.block([
            [by_va.real[np.ix_(pv, pv)], by_vm.real[np.ix_(pv, pq)]],
            [by_va.imag[np.ix_(pq, pv)], by_vm.imag[np.ix_(pq, pq)]],
        ])
        step = np.linalg.solve(jac, f)
        va[pv] -= step[: len(pv)]
        vm[pq] -= step[len(pv) :]
    raise AssertionError("the power flow of the test did not converge")


@pytest.fixture(scope="session")
def case_of():
    def read(name):
        return MachineCase.load(ROOT / "scenarios" / "data" / "transmission" / f"{name}.json")

    return read


@pytest.fixture(scope="session")
def solve():
    return newton


@pytest.fixture(scope="session")
def reference():
    """Name -> (columns as arrays, metrics) of an independent program's run."""
    metrics = json.loads((REFERENCE / "metrics.json").read_text())

    def read(name):
        with gzip.open(REFERENCE / f"{name}.csv.gz", "rt") as file:
            rows = list(csv.reader(file))
        return dict(zip(rows[0], np.array(rows[1:], float).T, strict=True)), metrics[name]

    return read


@pytest.fixture(scope="session")
def record():
    """Advance by 20 ms and keep what the reference runs keep; `each` is called at every row."""

    def run(dynamics, t_end_ms, each=None, row_ms=20):
        rows = []
        for t_ms in range(dynamics.now_ms, t_end_ms + 1, row_ms):
            dynamics.advance(t_ms)
            ties = dynamics.p_tie_mw
            vm = np.abs(dynamics.v_bus)
            rows.append([
                t_ms / 1000, dynamics.f_coi_hz, *dynamics.f_cell_hz, *ties,
                dynamics.p_mech_mw.sum(), dynamics.p_elec_mw.sum(), vm.min(), vm.mean(),
            ])
            if each is not None:
                each(t_ms)
        case = dynamics.case
        names = ["t", "f_coi", *(f"f_a{i + 1}" for i in range(len(case.cells)))]
        names += [f"tie_{a + 1}_{b + 1}" for a, b in case.cell_pairs] + ["Pm_MW", "Pe_MW", "vmin", "vmean"]
        return dict(zip(names, np.array(rows).T, strict=True))

    return run


@pytest.fixture(scope="session")
def start(case_of):
    def begin(name, **options):
        case = case_of(name)
        return Dynamics(case, newton(case), **options)

    return begin


@pytest.fixture(scope="session")
def rocof500():
    """Largest mean slope over 0.5 s of a signal in 20-ms rows [Hz/s], with its sign."""

    def largest(f):
        slope = (f[25:] - f[:-25]) / 0.5
        return slope[np.abs(slope).argmax()]

    return largest


@pytest.fixture(scope="session")
def single():
    """One machine with a load at its own bus, as a case: governor, inertia and damping as asked."""

    def make(governor, *, h_s, d_pu, sn_mva=100.0, p_mw=50.0, base_mva=100.0):
        return MachineCase.from_dict({
            "name": "single", "base_mva": base_mva, "f0_hz": 50.0, "cells": {"1": "all"},
            "bus": [{"id": 1, "vn_kv": 110.0, "cell": 1}, {"id": 2, "vn_kv": 110.0, "cell": 1}],
            "branch": [{"from": 1, "to": 2, "x_pu": 1e-3}],
            "load": [{"bus": 2, "p_mw": p_mw}],
            "machine": [{
                "name": "G", "bus": 1, "sn_mva": sn_mva, "p_mw": p_mw, "slack": True, "h_s": h_s, "d_pu": d_pu,
                "xd1": 0.2, "governor": governor,
            }],
        })

    return make
