"""The same seed gives the same file, whatever the number of workers, their order and the hash seed."""

import importlib
import pkgutil
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

import controllers
import results
import scenarios
import sims
from results.runfile import Run
from scenarios.load import load
from scenarios.matrix import sweep
from scenarios.run import run_pairing
from scenarios.worker import Job
from sims.core import pace
from sims.distribution.simulator import DistributionSimulator

SMALL = Path(__file__).parents[1] / "scenarios" / "data" / "small.yaml"

AGAIN = (("distributed", 2), ("centralized", 4), ("local", 4))


def same(x, y):
    return np.array_equal(x, y, equal_nan=np.asarray(x).dtype.kind == "f")


def differences(one, other):
    """Return every dataset and attribute in which two run files differ, but for what names the machine."""
    found = []

    def attributes(a, b, name):
        if set(a) != set(b):
            found.append(f"{name}: attributes {set(a) ^ set(b)}")
        found.extend(f"{name}@{k}" for k in set(a) & set(b) if not same(a[k], b[k]))

    with h5py.File(one) as a, h5py.File(other) as b:
        names = [[], []]
        for file, into in zip((a, b), names, strict=True):
            file.visit(into.append)
        mine, theirs = ([n for n in into if not n.startswith("provenance")] for into in names)
        if mine != theirs:
            found.append(f"members {set(mine) ^ set(theirs)}")
        attributes({k: v for k, v in a.attrs.items() if k not in UNTIMED}, {
            k: v for k, v in b.attrs.items() if k not in UNTIMED
        }, "/")
        for name in set(mine) & set(theirs):
            attributes(*({k: v for k, v in f[name].attrs.items() if k not in REFERENCES} for f in (a, b)), name)
            if isinstance(a[name], h5py.Dataset) and not same(a[name][()], b[name][()]):
                found.append(name)
    return sorted(found)


UNTIMED = {"history", "provenance"}
REFERENCES = {"DIMENSION_LIST", "REFERENCE_LIST"}
"""Addresses inside one file."""


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_one_worker_in_another_order_writes_the_same(outcomes, scenario, tmp_path, monkeypatch, hash_seed):
    monkeypatch.setenv("PYTHONHASHSEED", hash_seed)
    again = AGAIN if hash_seed == "1" else AGAIN[::-1]
    found = sweep([Job(scenario, architecture, stage, tmp_path) for architecture, stage in again], 1)
    for outcome in found:
        assert not outcome.error
        first = outcomes[outcome.job.architecture, outcome.job.stage]
        assert differences(first.path, outcome.path) == []


def test_grids_solved_side_by_side_write_the_same(outcomes, scenario, tmp_path, monkeypatch):
    where, step = {}, DistributionSimulator.step

    def noted(self, now_ms, inputs):
        where.setdefault(self.name, set()).add(threading.current_thread().name)
        return step(self, now_ms, inputs)

    monkeypatch.setattr(pace, "WORTH_S", -1.0)
    monkeypatch.setattr(DistributionSimulator, "step", noted)
    path = run_pairing(scenario, *AGAIN[0], tmp_path, threads=2)
    assert {name.split("_")[0] for names in where.values() for name in names} == {"MainThread", "beside"}
    assert differences(outcomes[AGAIN[0]].path, path) == []


def test_no_kernel_may_round_by_what_it_was_compiled_with():
    # With fused or reordered operations a kernel's last digit depends on what the compiler put into it from others, and
    # so on who compiled first: on a fresh machine two workers would write other files than one.
    free = []
    for package in (controllers, results, scenarios, sims):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for name, thing in vars(importlib.import_module(module.name)).items():
                if isinstance(thing, Dispatcher) and thing.targetoptions.get("fastmath"):
                    free.append(f"{module.name}.{name}")
    assert free == []


def test_events_that_go_beside_the_file_are_the_same_too(outcomes, scenario, tmp_path):
    found = sweep([Job(scenario, *AGAIN[0], tmp_path)], 1)[0]
    with Run(outcomes[AGAIN[0]].path) as one, Run(found.path) as other:
        for table in one.tables:
            assert one.events(table).equals(other.events(table)), table


def test_the_comparison_would_see_a_difference(outcomes):
    assert differences(outcomes["local", 1].path, outcomes["local", 4].path)


def test_another_seed_gives_another_day(outcomes, tmp_path):
    other = load(SMALL, "twenty_minutes", {"seed": 8})
    found = sweep([Job(other, "local", 2, tmp_path)], 1)[0]
    with Run(outcomes["local", 2].path) as one, Run(found.path) as two:
        assert not np.array_equal(one.values("feeder", "load_mw"), two.values("feeder", "load_mw"))
