"""SmartNet's coordination schemes as pairings: who acted on what, who held which duty, what crossed the boundary."""

import json

import numpy as np
import pytest

from gridseam.suite import case_of
from results.runfile import Run
from scenarios.load import load, variants
from scenarios.run import run_pairing
from scenarios.shipped import transmission_path
from sims.transmission.case import MachineCase

SCHEMES = {
    "centralized_market": ("centralized", 1), "local_market": ("centralized", 3),
    "shared_balancing": ("centralized", 4), "common_market": ("distributed", 3),
}  # fmt: skip
MINUTE_MS = 60_000
LOST_MS = 20 * MINUTE_MS
STATIONS, DER = "power stations", "resources in distribution"
DSO = {"dms", "agent", "operator"}


def role(name):
    last = name.rsplit(".", 1)[-1]
    return last if last in ("tso", "dms", "operator", "crew", "device") else "agent"


class Told:
    """A run with its acts and letters as rows, read once."""

    def __init__(self, run, acts):
        self.run, self.acts, mail = run, acts(run), run.messages
        columns = ("sent_ms", "sender", "receiver", "topic")
        self.mail = sorted(zip(*(mail[c].values.tolist() for c in columns), strict=True))
        self.q_mvar, self.q_ref_mvar = (run.values("interface", name) for name in ("q_mvar", "q_ref_mvar"))
        self.off_mw = run.values("cell", "p_tie_mw") - run.values("cell", "p_sched_mw")

    def goals(self, quantity, about):
        """The values of one number that sites told of something."""
        rows = self.run.events("goals")
        return rows.value.values[(rows.quantity.values == quantity) & (rows.about.values == about)].tolist()

    def balance_calls(self):
        """Who called which power station to balance a cell."""
        return [(a[1], a[3]) for a in self.acts if a[2] == "balance_cell" and a[3].startswith("gen.")]


@pytest.fixture(scope="module")
def of(tmp_path_factory, acts):
    """Scheme -> the first three quarters of an hour under it."""
    folder, kept = tmp_path_factory.mktemp("schemes"), {}
    for scheme in SCHEMES:
        found = load("coordination", scheme, {"time.duration": "45 min"})
        path = run_pairing(found, found.pairing.architecture, found.pairing.stage, folder / scheme)
        kept[scheme] = Told(Run(path), acts)
    yield kept.__getitem__
    for told in kept.values():
        told.run.close()


def test_each_scheme_is_a_variant_with_one_pairing():
    assert set(variants("coordination")) == set(SCHEMES)
    for scheme, pairing in SCHEMES.items():
        found = load("coordination", scheme)
        assert (found.pairing.architecture, found.pairing.stage) == pairing
        assert {check.pairing for check in case_of("coordination", scheme).checks} == {pairing}


@pytest.mark.parametrize(("scheme", "congestion", "voltage_at_interface", "balance"), [
    ("centralized_market", {"operator"}, {"tso"}, {"tso"}),
    ("local_market", {"device", "dms", "operator"}, {"device", "dms"}, {"tso"}),
    ("shared_balancing", {"device", "dms", "operator"}, {"device", "dms"}, {"device", "dms"}),
    ("common_market", {"device", "agent", "operator"}, {"device", "agent"}, {"tso"}),
])  # fmt: skip
def test_who_holds_which_duty(of, scheme, congestion, voltage_at_interface, balance):
    table = json.loads(of(scheme).run.attrs["duties"])
    assert set(table["manage_congestion"]) == congestion
    assert set(table["support_tso_voltage"]) == voltage_at_interface
    assert set(table["balance_cell"]) == balance


@pytest.mark.parametrize(("scheme", "acted"), [
    ("centralized_market", {("tso", STATIONS), ("operator", DER)}),
    ("local_market", {("tso", STATIONS), ("dms", DER)}),
    ("shared_balancing", {("dms", STATIONS), ("dms", DER)}),
    ("common_market", {("tso", STATIONS), ("agent", DER)}),
])  # fmt: skip
def test_who_acted_on_what(of, scheme, acted):
    rows = of(scheme).acts
    assert {a[7] for a in rows} == {""}, "nothing was refused"
    found = {(role(a[1]), STATIONS if a[3].startswith("gen.") else DER) for a in rows}
    assert found - {("device", DER)} == acted


@pytest.mark.parametrize(("scheme", "down", "up"), [
    ("centralized_market", {("operator", "request")}, set()),
    ("local_market", {("dms", "u_set")}, set()),
    ("shared_balancing", {("dms", "u_set"), ("dms", "tie")}, set()),
    ("common_market", {("agent", "admm")}, {("tso", "admm")}),
])  # fmt: skip
def test_what_crossed_between_the_operators(of, scheme, down, up):
    crossed = {
        (role(receiver), topic) for _, sender, receiver, topic in of(scheme).mail
        if "tso" in (sender, receiver) and not receiver.startswith("gen.")
    }  # fmt: skip
    assert crossed == {("tso", "interface")} | down | up, "what is measured at the interfaces, and this"


def test_centralized_what_the_tso_gets_takes_no_heed_of_the_grid_below(of):
    told = of("centralized_market")
    (sent_ms,) = (at for at, _, _, topic in told.mail if topic == "request")
    mine = [a for a in told.acts if a[1] == "dso_1.operator"]
    assert min(a[0] for a in mine) > sent_ms >= 10 * MINUTE_MS, "an overload that stood ten minutes, then a call"
    assert {a[2] for a in mine} == {"manage_congestion"}
    alarms = told.run.alarms
    (asked_mw,) = alarms.value.values[alarms.kind.values == "request"]
    p_mw, row = told.run.values("interface", "p_mw")[:, 0], int(min(a[0] for a in mine) // MINUTE_MS)
    assert p_mw[row - 1] - p_mw[row + 3] > 5 * -asked_mw > 0, "every plant is held to one step, needed or not"


def test_local_the_own_grid_comes_first_and_the_tso_gets_what_is_left(of):
    told, alone = of("local_market"), of("centralized_market")
    unmet_mvar = np.abs(told.goals("unmet_mvar", "dso_1.i1"))
    assert unmet_mvar.min() > 0.1, "below the overloaded interface there is no room for all of the wish"
    before, last = slice(15, 20), slice(-5, None)
    for interface in (1, 2):  # where there is room, Q goes where the wish goes
        assert told.q_ref_mvar[last, interface].mean() < told.q_ref_mvar[before, interface].mean() - 4
        assert told.q_mvar[last, interface].mean() < told.q_mvar[before, interface].mean() - 3
    assert (alone.q_mvar[last, 1:] > told.q_mvar[last, 1:] + 2).all(), "which it would not by itself"


def test_the_balance_is_restored_by_whoever_holds_it(of):
    case = MachineCase.load(transmission_path("ieee39"))
    of_bus = zip(case.machines.names, case.machines.bus.tolist(), strict=True)
    cell_of = {f"gen.{name}": int(case.bus_cell[bus]) for name, bus in of_bus}
    home = {f"dso_{k + 1}.dms": cell for k, cell in enumerate(sorted(set(cell_of.values())))}
    for scheme in SCHEMES:
        told = of(scheme)
        assert np.abs(told.off_mw).max() > 100, "a power station is lost"
        np.testing.assert_allclose(told.off_mw[-5:].mean(axis=0), 0.0, atol=5.0)
        calls = told.balance_calls()
        assert {station for _, station in calls} == set(cell_of)
        if scheme == "shared_balancing":
            assert all(home[actor] == cell_of[station] for actor, station in calls), "each in its own cell"
        else:
            assert {actor for actor, _ in calls} == {"tso"}


def test_only_a_shared_balance_moves_the_dsos_own_resources_for_it(of):
    for scheme in SCHEMES:
        mine = [a for a in of(scheme).acts if a[2] == "balance_cell" and not a[3].startswith("gen.")]
        assert bool(mine) == (scheme == "shared_balancing")
        assert {role(a[1]) for a in mine} <= DSO


def test_common_both_sides_write_in_turn_until_they_agree_and_neighbours_deliver(of):
    told, opened_ms = of("common_market"), []
    for interface in ("dso_1.i1", "dso_2.i1", "dso_3.i1"):
        talk = [row for row in told.mail if row[3] == "admm" and interface in row[1:3]]
        assert [sender for _, sender, _, _ in talk] == ["tso", interface] * (len(talk) // 2)
        (rounds,) = told.goals("rounds", interface)
        assert 3 <= rounds == len(talk) / 2 <= 5, "as many as it takes, not the most that are allowed"
        assert max(*told.goals("primal_pu", interface), *told.goals("dual_pu", interface)) < 1e-4
        opened_ms.append(talk[0][0])
    support = [a for a in told.acts if a[2] == "support_tso_voltage"]
    assert min(a[0] for a in support) > min(opened_ms) > LOST_MS
    assert len({a[1] for a in support}) > 3, "several areas deliver"
    row = int(min(opened_ms) // MINUTE_MS)
    assert (told.q_mvar[-1, 1:] < told.q_mvar[row, 1:] - 1).all(), "it leans on a voltage that is too high"
