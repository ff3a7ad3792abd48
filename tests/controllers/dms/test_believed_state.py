import dataclasses

import numpy as np
import pytest

from controllers.dms.believed_state import BelievedState
from controllers.dms.readings import Readings
from sims.core.bundle import Addresses, Bundle
from sims.core.message import Message


def fed(kit, kind="oberrhein", load=0.6, sun=0.8, seed=0, settings=None):
    field = kit.field(kit.feeder(kind), load=load, sun=sun)
    state = BelievedState(kit.site([field.belief], settings=settings))
    state.take([field.primary(0), *field.secondary(0, np.random.default_rng(seed))])
    return field, state


@pytest.mark.parametrize("kind", ["oberrhein", "cigre"])
def test_fresh_frames_give_voltages_better_than_the_meters(kit, kind):
    field, state = fed(kit, kind)
    picture = state.picture(field.belief.name, 60_000)
    error = (np.abs(picture.v) - np.abs(field.v))[field.topology.live]
    assert np.abs(error).max() < 1e-3  # the meters: 0.17 % standard deviation, hundreds of them
    assert picture.objective < picture.threshold
    assert len(picture.left_out) == len(picture.unheard) == 0


@pytest.mark.parametrize("kind", ["oberrhein", "cigre"])
def test_between_frames_the_transformers_flow_carries_the_picture(kit, kind):
    field, state = fed(kit, kind, sun=0.5)
    stale = np.abs(field.v)
    state.picture(field.belief.name, 60_000)
    field.sun = 0.8
    field.solve()
    state.take([field.primary(600_000)])
    picture = state.picture(field.belief.name, 660_000)
    live = field.topology.live
    assert np.abs(np.abs(picture.v) - np.abs(field.v))[live].max() < 0.3 * np.abs(stale - np.abs(field.v))[live].max()
    total = (picture.s.real - field.s.real)[live].sum()
    assert abs(total) < 0.02 * abs(field.s.real[live].sum())


def test_a_tampered_voltage_is_left_out(kit):
    field, state = fed(kit)
    false = field.secondary(0)[40]
    values = {**false.values, "v_pu": false.values["v_pu"] + 0.05}
    state = BelievedState(kit.site([field.belief]))
    mail = field.secondary(0, np.random.default_rng(0))
    mail[40] = Message(false.sender, false.receiver, "secondary", values, sent_ms=0)
    state.take([field.primary(0), *mail])
    picture = state.picture(field.belief.name, 60_000)
    assert picture.left_out.tolist() == [values["node"]]
    assert np.abs(np.abs(picture.v) - np.abs(field.v))[field.topology.live].max() < 1e-3


def test_silence_gives_no_picture_and_missing_frames_are_named(kit):
    field = kit.field(kit.feeder("cigre"))
    state = BelievedState(kit.site([field.belief]))
    assert state.picture(field.belief.name, 60_000) is None
    frames = field.secondary(0)
    state.take([field.primary(0), *frames[1:]])
    picture = state.picture(field.belief.name, 60_000)
    assert picture.unheard.tolist() == [frames[0].values["node"]]


def test_mail_twice_late_or_from_elsewhere_changes_nothing(kit):
    field, state = fed(kit, "cigre")
    first = state.picture(field.belief.name, 60_000)
    old = field.secondary(0)
    field.load = 1.0
    field.solve()
    state.take([field.primary(900_000), *field.secondary(900_000)])
    newer = state.picture(field.belief.name, 960_000)
    state.take([*old, *old, Message("dso_9.f01.s001", "dso_1.dms", "secondary", old[0].values, sent_ms=10**9)])
    again = state.picture(field.belief.name, 1_260_000)
    assert np.abs(newer.v_pu - first.v_pu).max() > 1e-3
    assert np.abs(again.v_pu - newer.v_pu).max() < 1e-3


def test_one_estimation_a_cycle_however_many_ask(kit):
    field, state = fed(kit, "cigre")
    pictures = {id(state.picture(field.belief.name, t)) for t in (60_000, 120_000, 300_000)}
    assert len(pictures) == state.estimations == 1
    state.picture(field.belief.name, 360_000)
    assert state.estimations == 2


def test_what_is_dark_is_zero(kit):
    field, state = fed(kit)
    state.take(field.strike(12, 100_000)[:1])
    picture = state.picture(field.belief.name, 120_000)
    assert (picture.v_pu[~field.topology.live & ~np.isin(np.arange(len(field.v)), field.net.feed_root)] == 0).all()
    assert (picture.v_pu[field.topology.live] > 0.9).all()
    assert (~field.topology.live).sum() > 50


def test_voltages_from_before_an_order_or_a_tap_change_are_not_believed(kit):
    field, state = fed(kit, sun=0.5)
    name = field.belief.name
    assert state.picture(name, 60_000).threshold > 0, "the frames' voltages take part"
    nothing = np.zeros(1)
    state.expect(np.array([10]), nothing, nothing + 0.01)
    state.take([field.primary(300_000)])
    assert state.picture(name, 360_000).threshold > 0, "a trifle changes no voltage"
    state.expect(np.array([10]), nothing, nothing + 1.0)
    state.take([field.primary(600_000), *field.secondary(60_000)])
    assert state.picture(name, 660_000).threshold == 0
    state.take([field.primary(900_000), *field.secondary(900_000)])
    assert state.picture(name, 960_000).threshold > 0, "frames from after the order count again"
    calm = field.primary(1_200_000)
    moved = {**calm.values, "tap_pos": np.asarray(calm.values["tap_pos"]) + 1}
    state.take([dataclasses.replace(calm, values=moved)])
    assert state.picture(name, 1_260_000).threshold == 0


@pytest.mark.parametrize("kind", ["oberrhein", "cigre"])
def test_unmetered_substations_draw_what_the_busbars_give_beyond_the_metered(kit, kind):
    field = kit.field(kit.feeder(kind), load=0.8, sun=0.6)
    state = BelievedState(kit.site([field.belief]))
    frames = field.secondary(0, np.random.default_rng(0))
    state.take([field.primary(0), *frames[::2]])
    file, base = state.files[field.belief.name], field.belief.grid.base_mva
    nodes = np.array([m.values["node"] for m in frames[1::2]])
    nameplate = file.s[nodes].copy()
    picture = state.picture(field.belief.name, 60_000)
    assert set(nodes) <= set(picture.unheard)
    told = file.s[nodes].copy()
    # The frames err by less than a percent, so the sum of what is unmetered is all but known; nameplates tell 40 %.
    assert told.sum().real == pytest.approx(field.s[nodes].sum().real, abs=0.05 * abs(field.s.real).sum())
    off, blind = (np.sqrt((np.abs(s - field.s[nodes]) ** 2).mean()) * base for s in (told, nameplate))
    assert off < 0.6 * blind
    # What was told is remembered while the others' frames age, as theirs is; fresh frames tell it anew.
    field.load = 0.4
    field.solve()
    state.take([field.primary(600_000)])
    state.picture(field.belief.name, 660_000)
    np.testing.assert_array_equal(file.s[nodes], told)
    state.take([field.primary(900_000), *field.secondary(900_000)[::2]])
    state.picture(field.belief.name, 960_000)
    assert np.abs(file.s[nodes] - field.s[nodes]).sum() < 0.5 * np.abs(told - field.s[nodes]).sum()


def test_one_silent_substation_is_not_told_from_the_meters_own_error(kit):
    field = kit.field(kit.feeder("oberrhein"), load=0.8)
    state = BelievedState(kit.site([field.belief]))
    frames = field.secondary(0)
    state.take([field.primary(0), *frames[1:]])
    file, node = state.files[field.belief.name], frames[0].values["node"]
    before = file.s[node]
    state.picture(field.belief.name, 60_000)
    assert file.s[node] == before


def test_nothing_metered_but_the_transformers_is_the_classical_allocation(kit):
    field = kit.field(kit.feeder("oberrhein", pv=0.0, storage=0.0), load=0.8)
    state = BelievedState(kit.site([field.belief]))
    state.take([field.primary(0)])
    state.picture(field.belief.name, 60_000)
    file = state.files[field.belief.name]
    share = file.s.real[file.load_pu > 0] / file.load_pu[file.load_pu > 0]
    groups = np.unique(np.round(share, 9))
    assert len(groups) == len(file.net.anchor), "one share a busbar"
    assert -groups == pytest.approx(0.8, rel=0.05)


def two_feeders(kit):
    fields = [kit.field(kit.feeder("cigre", name=f"dso_1.f0{k}"), sun=0.5) for k in (1, 2)]
    state = BelievedState(kit.site([field.belief for field in fields]))
    state.take([message for field in fields for message in (field.primary(0), *field.secondary(0))])
    return fields, state


def test_what_orders_will_do_is_told_by_places_counted_through_all_feeders(kit):
    fields, state = two_feeders(kit)
    first, second = state.files.values()
    pictures = state.pictures(60_000)
    assert [p.at_ms for p in pictures] == [60_000, 60_000]
    n, base = len(first.v), fields[0].belief.grid.base_mva
    before, green = second.s[3], second.der_mw[3]
    state.expect(np.array([n + 3, n + 3, 4]), np.array([0.3, 0.2, 0.01]), der=True)
    assert second.s[3] - before == pytest.approx(0.5 / base)
    assert second.der_mw[3] - green == pytest.approx(0.5)
    assert (second.v == 0).all(), "voltages from before are believed no more"
    assert (first.v > 0).any(), "a trifle leaves them"
    assert state.pictures(120_000) is pictures, "looked for once a cycle"
    line = int(fields[1].belief.grid.branch_element[0])
    state.switch("dso_1.f02", [line], [False])
    again = state.pictures(180_000)
    assert again[0] is pictures[0]
    assert again[1].at_ms == 180_000, "estimated anew after a switching"


def test_frames_as_columns_tell_what_they_tell_one_by_one(kit):
    fields, _ = two_feeders(kit)
    one, whole = (Readings(tuple(field.belief for field in fields)) for _ in range(2))
    rng = np.random.default_rng(1)
    frames = [m for field in fields for m in field.secondary(900_000, rng)]
    frames.append(dataclasses.replace(frames[3], sender="elsewhere.s001"))
    frames.append(dataclasses.replace(frames[4], values={**frames[4].values, "v_pu": np.nan}))
    late = [dataclasses.replace(m, sent_ms=0, values={**m.values, "v_pu": 0.5}) for m in frames[:7]]
    bundles = []
    for mail in (frames, late):
        names = [name for name in mail[0].values if name != "der_mw"] if mail is late else list(mail[0].values)
        columns = {name: np.array([m.values[name] for m in mail]) for name in names}
        addresses = Addresses(tuple(m.sender for m in mail), ("dms",) * len(mail))
        bundles.append(Bundle(addresses, np.arange(len(mail)), "secondary", columns, mail[0].sent_ms))
    one.keep([*frames, *late])
    whole.file(bundles)
    for name in ("v", "s", "node_ms", "der_mw", "der_avail_mw"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(one, name))
    assert (whole.node_ms == 900_000).sum() == len(frames) - 2
    assert (whole.der_mw > 0).any()
