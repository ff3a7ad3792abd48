"""One step of 10 000 mixed devices, and their answer to a moving frequency, on one core.

Aims: 1.5 ms a step, 0.8 ms a fast response.
"""

from importlib.resources import files

import numpy as np
import pytest

from controllers.local.settings import equip
from sims.der.law import Bound
from sims.der.placement import FeederSite, Shares, place
from sims.der.profiles import Profiles
from sims.der.simulator import DerSimulator

FEEDERS, NODES, STEP_MS = 64, 50, 900_000
SHARES = Shares(
    pv_mw_per_mw_load=1.0, wind_mw_per_mw_load=0.2, counts={"wind": 2}, storage_mw_per_mw_pv=0.5, ev_per_mw_load=28,
    heatpump_mw_per_mw_load=0.2, flexible_mw_per_mw_load=0.1, v2g_share=0.3, strategy="controlled", load_scaling=1.5,
)


def simulator(architecture, stage):
    rng = np.random.default_rng(1)
    sites = [FeederSite(f"f{k}", k, k % 4, np.arange(NODES), rng.uniform(0.002, 0.3, NODES)) for k in range(FEEDERS)]
    table = place(sites, SHARES, seed=1, feeder_names=[s.name for s in sites], dso_names=("a", "b", "c", "d"))
    laws = equip(
        architecture, stage, kind=table.kind, level=table.level, v2g_share=table.v2g_share, p_rated_mw=table.p_rated_mw,
        inertia_s=0.1,
    )
    path = str(files("scenarios") / "data" / "profiles" / "summer_2016-07-18.csv")
    return DerSimulator(
        table, Profiles.read(path), sources={name: table.of_dso(k) for k, name in enumerate("abcd")},
        laws=[Bound(law, devices) for law, devices in laws], authorize=lambda *_: None, step_ms=STEP_MS,
        until_ms=7 * 86_400_000, seed=1,
    )


def reports(sim):
    out = {"v_pu": {}, "p_real_mw": {}, "f_hz": {"transmission": np.full(4, 50.0)}}
    for k, name in enumerate("abcd"):
        own = sim.table.of_dso(k)
        out["v_pu"][name] = np.linspace(0.98, 1.11, len(own))
        out["p_real_mw"][name] = sim.out["p"][own]
    return out


@pytest.mark.parametrize(("architecture", "stage"), [("centralized", 1), ("local", 2), ("local", 4)])
def test_step(benchmark, architecture, stage):
    sim = simulator(architecture, stage)
    sim.step(0, {})
    given, now = reports(sim), [0]

    def step():
        now[0] += STEP_MS
        sim.step(now[0], given)

    benchmark.extra_info["devices"] = len(sim.table)
    benchmark.extra_info["vehicles"] = int(sim.table.vehicles.sum())
    benchmark.pedantic(step, rounds=600, warmup_rounds=20)


def test_fast_response(benchmark):
    sim = simulator("local", 4)
    sim.step(0, {})
    for k in range(48):
        sim.step((k + 1) * STEP_MS, reports(sim))
    f = [50.0]

    def respond():
        f[0] = 50.9 if f[0] < 50.3 else f[0] - 0.001
        sim.respond_fast(np.full(4, f[0]), 0.02)

    benchmark.pedantic(respond, rounds=1000, warmup_rounds=20)
