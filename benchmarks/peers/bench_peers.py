"""The same study by gridseam, by plain mosaik and by HELICS federates, around pandapower and around our own engines.

Run: pytest benchmarks/peers/bench_peers.py -s; needs the extra peers. Ratios of CPU time within one process, after the
boundary voltages agree. The peers record nothing, which spares them time; ours is in bench_coupling.py with its file.
"""

import time
from typing import Any

import numpy as np
import pytest

from benchmarks.peers import plain_mosaik, study
from sims.grid.coupled import CoupledPowerFlow
from sims.grid.partition import attach

STEPS = 3
"""As many quarter hours do the peers: each is as dear as any other."""


@pytest.fixture(scope="module")
def ours() -> tuple[float, list[Any]]:
    """Time of one quarter hour [s], from a whole day, and the boundary voltages of the first."""
    upper, buses, nets = study.parts()
    coupled = CoupledPowerFlow(attach(upper, list(zip(buses, nets, strict=True)), per_unit=True))
    p, q = (np.concatenate([net.nominal()[i] for net in coupled.compiled]) for i in (0, 1))
    none, seen = np.zeros((p.size, 0)), []
    assert coupled.forest is not None
    coupled.solve()
    started = time.process_time()
    for factor in study.factors():
        coupled.forest.inject(factor * p, factor * q, none, none, np.zeros(p.size))
        coupled.solve()
        seen.append(coupled.v.copy())
    return (time.process_time() - started) / study.STEPS, seen


@pytest.mark.parametrize("engines", ["pandapower", "own"])
@pytest.mark.parametrize("peer", ["plain_mosaik", "helics"])
def test_peer(benchmark: Any, ours: tuple[float, list[Any]], peer: str, engines: str) -> None:
    if peer == "helics":
        pytest.importorskip("helics", reason="needs the extra peers")
        from benchmarks.peers import helics_federates as of
    else:
        of = plain_mosaik  # type: ignore[assignment]
    upper, lower = (study.Upper, study.Lower) if engines == "pandapower" else (study.OwnUpper, study.OwnLower)
    go = of.run(upper, lower, STEPS)
    started = time.process_time()
    seen = benchmark.pedantic(go, rounds=1)
    theirs = (time.process_time() - started) / STEPS
    assert len(seen) == STEPS
    assert max(np.abs(a - b).max() for a, b in zip(seen, ours[1][:STEPS], strict=True)) < 2e-5
    print(f"\n{peer} around {engines}: {theirs:.2f} s a step; ours {ours[0] * 1e3:.2f} ms; {theirs / ours[0]:.0f} x")
