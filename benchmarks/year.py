"""A year of SimBench's whole grid, 380 kV to 0.4 kV, cut at every level and coupled, in steps of 15 min.

Run: python -m benchmarks.year --days 366 --workers 2 --out FOLDER. Needs the extra simbench.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.sparse import csr_matrix

from sims.grid.coupled import CoupledPowerFlow
from sims.grid.meshed import MeshedPowerFlow
from sims.grid.parallels import merge_parallel_transformers
from sims.grid.partition import Cut, split

CODE, LEVELS_KV, STEPS = "1-EHVHVMVLV-mixed-all-0-sw", [110.0, 20.0, 0.4], 96
SAY_S = 20.0
"""How often a run says how far it has come."""
WITHIN_PU, WITHIN_MVA = 1e-7, 5e-6
"""What may be left at each boundary; what is left at 412 of them adds up."""


def whole() -> Any:
    """Return SimBench's net with its profiles, equal transformers side by side as one."""
    import simbench

    net = simbench.get_simbench_net(CODE)
    merge_parallel_transformers(net)
    return net


@dataclass(frozen=True, eq=False)
class Drive:
    """What each bus injects, from SimBench's relative profiles.

    Parameters
    ----------
    p, q : csr_matrix [bus row, profile]
        MW and Mvar at a profile's 1.
    shape : ndarray [step, profile]
    gen : ndarray [step, generator]
        MW.
    """

    p: csr_matrix
    q: csr_matrix
    shape: Any
    gen: Any

    @classmethod
    def of(cls, net: Any) -> Drive:
        """Put the profiles of loads and static generators side by side; a last one is always 1."""
        load, feed = net.profiles["load"], net.profiles["renewables"]
        load, feed = load.drop(columns="time"), feed.drop(columns="time")
        column = {name: k for k, name in enumerate([*load, *feed])}
        shape = np.column_stack((load.to_numpy(float), feed.to_numpy(float), np.ones(len(load))))
        row = {bus: k for k, bus in enumerate(net.bus.index)}
        rows, p, q = [], [], []
        for table, sign, ends in ((net.load, -1.0, ("_pload", "_qload")), (net.sgen, 1.0, ("", None))):
            rows += [row[bus] for bus in table.bus]
            for out, power, end in zip((p, q), ("p_mw", "q_mvar"), ends, strict=True):
                at = [shape.shape[1] - 1 if end is None else column[f"{name}{end}"] for name in table.profile]
                out += list(zip(at, sign * table[power] * table.scaling, strict=True))
        size = len(row), shape.shape[1]
        made = [csr_matrix((np.array([v for _, v in part]), (rows, [at for at, _ in part])), size) for part in (p, q)]
        plants = net.profiles["powerplants"]
        return cls(*made, shape, plants[net.gen.profile].to_numpy(float) * net.gen.p_mw.to_numpy(float))

    def day(self, day: int) -> tuple[Any, Any, Any]:
        """Return P, Q [bus row, step] and the generators' P [step, generator] of one day."""
        at = slice(STEPS * day, STEPS * (day + 1))
        return self.p @ self.shape[at].T, self.q @ self.shape[at].T, self.gen[at]


class Study:
    """The coupled grid, driven step by step, and what is recorded of it."""

    def __init__(self, cut: Cut, buses: Any) -> None:
        self.grid = CoupledPowerFlow(cut, tolerance_pu=WITHIN_PU, tolerance_mva=WITHIN_MVA)
        self.levels = [self.grid]
        while isinstance(upper := self.levels[-1].upper, CoupledPowerFlow):
            self.levels.append(upper)
        self.top: MeshedPowerFlow = self.levels[-1].upper  # type: ignore[assignment]
        self.node = np.array([self.grid.node(int(bus)) for bus in buses])
        self.size = self.grid.nominal_mva().size
        self.above = np.unique(self.node[self.node < self.grid.own_mva.size])  # without those of dark copies
        self._rows = [_rows(level) for level in self.levels]

    def solve(self, p_mw: Any, q_mvar: Any, gen_mw: Any) -> None:
        """Solve for injections at the buses [row of the bus table]."""
        p, q = (np.bincount(self.node, x, self.size) for x in (p_mw, q_mvar))
        self.top.set("gen", "p_mw", gen_mw)
        self.grid.set_injection(p, q)
        self.grid.solve()

    def readings(self) -> dict[str, Any]:
        """Return how it settled [level], all exchanges, voltages and loadings from MV up, extremes of each LV grid."""
        above = [self.top.loading_percent]
        for level, rows in zip(self.levels[1:], self._rows[1:], strict=True):
            above += _loadings(level, rows)
        low = self.grid
        v_min, v_max, most = (np.zeros(len(low.cut.lower)) for _ in range(3))
        for fleet, parts in low.fleets:
            vm = fleet.vm
            v_min[parts], v_max[parts] = vm.min(axis=0), vm.max(axis=0)
            most[parts] = fleet.loading_percent.max(axis=0)
        if low.forest is not None:
            low.forest.read()
            vm, parts = np.abs(low.forest.v), low.forest_parts
            v_min[parts] = np.minimum.reduceat(vm, low.forest.node_start[:-1])
            v_max[parts] = np.maximum.reduceat(vm, low.forest.node_start[:-1])
            most[parts] = np.maximum.reduceat(low.forest.loading_percent, low.forest.branch_start[:-1])
        settled = [level.settled for level in self.levels]
        return {
            "rounds": np.array([each.rounds for each in settled]),
            "residual_pu": np.array([each.residual_pu for each in settled]),
            "residual_mva": np.array([each.residual_mva for each in settled]),
            "boundary_mva": np.concatenate([level.s_mva for level in self.levels]),
            "v_pu": self.levels[1].node_v[self.above], "loading_percent": np.concatenate(above),
            "lv_v_min_pu": v_min, "lv_v_max_pu": v_max, "lv_loading_percent": most,
        }


def _rows(level: CoupledPowerFlow) -> Any:
    """Return where each branch of the grids that are solved as trees stands among those of all trees."""
    if level.forest is None:
        return None
    forest, rows = level.forest, []
    for part in np.unique(level.forest_parts):
        trees = np.flatnonzero(level.forest_parts == part)
        whose = np.argmax([np.abs(forest.nets[t].y_ff) + np.abs(forest.nets[t].y_tt) > 0 for t in trees], axis=0)
        rows.append(forest.branch_start[trees][whose] + np.arange(whose.size))
    return np.concatenate(rows)


def _loadings(level: CoupledPowerFlow, rows: Any) -> list[Any]:
    if level.forest is not None:
        level.forest.read()
    forest = [] if level.forest is None else [level.forest.loading_percent[rows]]
    return [*forest, *(grid.engine.loading_percent for grid in level.single.values())]


def run(study: Study, drive: Drive, days: range, path: Path, done: Any = None) -> None:
    """Solve and record these days, and how long a processor took [s]; count the days that are `done`."""
    began = time.process_time()
    with h5py.File(path, "w") as file:
        sets: dict[str, Any] = {}
        for k, day in enumerate(days):
            p, q, gen = drive.day(day)
            kept: dict[str, list[Any]] = {}
            for t in range(STEPS):
                study.solve(p[:, t], q[:, t], gen[t])
                for name, values in study.readings().items():
                    kept.setdefault(name, []).append(values.astype("c8" if np.iscomplexobj(values) else "f4"))
            for name, rows in kept.items():
                block = np.array(rows)
                if name not in sets:
                    sets[name] = file.create_dataset(name, (STEPS * len(days), *block.shape[1:]), block.dtype)
                sets[name][STEPS * k : STEPS * (k + 1)] = block
            file.flush()
            if done is not None:
                with done.get_lock():
                    done.value += 1
        file["day"] = np.array(days)
        file.attrs["cpu_s"] = time.process_time() - began
        file.attrs["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _watch(work: list[Any], done: Any, days: int) -> None:
    """Say now and then how far it has come and how long it will take; a process that fails ends the others."""
    began = said = time.perf_counter()
    while any(process.is_alive() for process in work):
        time.sleep(0.5)
        if any(process.exitcode for process in work):
            for process in work:
                process.terminate()
            raise SystemExit("a process has failed")
        now = time.perf_counter()
        if done.value and now - said > SAY_S:
            said = now
            print(f"{done.value} of {days} days in {(now - began) / 60:.1f} min, "
                  f"{(now - began) / 60 * (days / done.value - 1):.1f} min left", flush=True)


def _tell(paths: list[Path], days: int, taken_s: float) -> None:
    cpu_s, seen = 0.0, {name: [np.zeros((0, 3))] for name in ("rounds", "residual_pu", "residual_mva")}
    for path in paths:
        with h5py.File(path) as file:
            cpu_s += float(file.attrs["cpu_s"])
            for name, blocks in seen.items():
                blocks.append(file[name][:])
            print(f"{path}: days {file['day'][0]} to {file['day'][-1]}, {path.stat().st_size / 1e6:.0f} MB, "
                  f"{file.attrs['peak_mb']:.0f} MB of memory at most")
    rounds, left_pu, left_mva = (np.concatenate(blocks) for blocks in seen.values())
    print(f"{STEPS * days} steps in {taken_s:.0f} s by {len(paths)} processes, {1e3 * cpu_s / STEPS / days:.1f} ms of "
          "a processor each")
    print(f"rounds at 0.4, 20 and 110 kV: {' '.join(f'{mean:.2f}' for mean in rounds.mean(axis=0))}, at most "
          f"{' '.join(f'{most:.0f}' for most in rounds.max(axis=0))}; left at most {left_pu.max():.1e} pu, "
          f"{left_mva.max():.1e} MVA")
    print(f"a year of 366 days: {taken_s * 366 / days / 60:.1f} min like this, "
          f"{cpu_s / days * 183 / 60:.1f} min of two processors")


def main() -> None:
    """Solve the days that are asked for, shared out among processes, and say how long it took.

    Each process takes days that follow each other and begins them from no load, as the first of January does.
    """
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--days", type=int, default=1)
    asked.add_argument("--first", type=int, default=0, help="the day to begin with; 0 is the first of January")
    asked.add_argument("--workers", type=int, default=2)
    asked.add_argument("--out", type=Path, default=Path())
    wish = asked.parse_args()
    wish.out.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    net = whole()
    drive, study = Drive.of(net), Study(split(net, LEVELS_KV, CODE), net.bus.index)
    del net
    print(f"read, cut and compiled in {time.perf_counter() - began:.0f} s", flush=True)
    context, share = multiprocessing.get_context("fork"), -(-wish.days // wish.workers)
    began, done = time.perf_counter(), context.Value("q", 0)
    shares = [range(wish.first + at, wish.first + min(at + share, wish.days)) for at in range(0, wish.days, share)]
    paths = [wish.out / f"year-{k}.h5" for k in range(len(shares))]
    work = [context.Process(target=run, args=(study, drive, days, path, done))
            for days, path in zip(shares, paths, strict=True)]
    for process in work:
        process.start()
    _watch(work, done, wish.days)
    _tell(paths, wish.days, time.perf_counter() - began)


if __name__ == "__main__":
    main()
