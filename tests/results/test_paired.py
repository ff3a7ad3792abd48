import io

import numpy as np
import pytest
from rich.console import Console

from results.compare import Comparison
from results.kpis.table import KPIS
from results.paired import difference_table, paired
from sims.core.errors import GridseamError


def made(local: list[float], distributed: list[float], kpi: str = "ens_mwh") -> Comparison:
    cube = np.array([[local], [distributed]], dtype=float)
    kpis = tuple(k for k in KPIS if k.name == kpi)
    seeds = tuple(range(1, len(local) + 1))
    return Comparison(("local", "distributed"), (1,), seeds, kpis, {kpi: cube})


def test_the_interval_is_that_of_a_t_test_worked_by_hand() -> None:
    # Differences -1, -2, -3: mean -2, standard deviation 1, error 1/sqrt(3) = 0.57735, t(0.975; 2) = 4.302653.
    one = paired(made([10, 20, 30], [9, 18, 27])).by_kpi["ens_mwh"]
    assert one.n[1, 0] == 3
    assert one.mean[1, 0] == pytest.approx(-2.0)
    assert one.low[1, 0] == pytest.approx(-2 - 4.302653 * 0.577350, abs=1e-5)
    assert one.high[1, 0] == pytest.approx(-2 + 4.302653 * 0.577350, abs=1e-5)
    assert (one.mean[0, 0], one.low[0, 0], one.high[0, 0]) == (0, 0, 0)


def test_pairing_by_seed_sees_what_means_alone_would_hide() -> None:
    # The seeds spread over 100; the differences are 1, 1.1, 0.9, 1: sd 0.0816, t(0.975; 3) = 3.182446.
    one = paired(made([1, 40, 70, 100], [2, 41.1, 70.9, 101])).by_kpi["ens_mwh"]
    half = 3.182446 * np.std([1, 1.1, 0.9, 1], ddof=1) / 2
    assert one.low[1, 0] == pytest.approx(1 - half, abs=1e-6)
    assert one.low[1, 0] > 0.8


def test_seeds_that_one_side_lacks_do_not_count() -> None:
    one = paired(made([1, np.nan, 3], [2, 5, np.inf])).by_kpi["ens_mwh"]
    assert one.n[1, 0] == 1
    assert one.mean[1, 0] == 1
    assert np.isnan(one.low[1, 0])
    none = paired(made([1], [np.nan]), ("local", 1)).by_kpi["ens_mwh"]
    assert none.n[1, 0] == 0
    assert np.isnan(none.mean[1, 0])


def test_an_interval_without_zero_has_a_star() -> None:
    found = paired(made([10, 20, 30], [9, 18.9, 29]))
    assert found.text("ens_mwh", ("distributed", 1), "MWh").endswith("]*")
    assert not paired(made([1, 2, 3], [2, 1, 3.3])).text("ens_mwh", ("distributed", 1)).endswith("*")
    out = io.StringIO()
    Console(file=out, width=120).print(difference_table(found, ("ens_mwh",)))
    assert "Difference to local, stage 1" in out.getvalue()
    assert "over 3 seeds" in out.getvalue()


def test_the_dataset_says_what_it_is() -> None:
    data = paired(made([1, 2], [3, 5])).dataset()
    assert float(data["mean"].sel(kpi="ens_mwh", architecture="distributed", stage=1)) == 2.5
    assert (data.attrs["baseline_architecture"], data.attrs["baseline_stage"]) == ("local", 1)
    assert str(data.units.sel(kpi="ens_mwh").item()) == "MWh"


def test_a_baseline_that_was_not_run_is_named() -> None:
    with pytest.raises(GridseamError, match=r"local,2 was not run; there are local,1 distributed,1 \(did you mean"):
        paired(made([1], [2]), ("local", 2))
