"""A controller at fault whose scenario says `on_error: fallback`: left out, counted, named; the rest goes on."""

import numpy as np
import pytest

from results.compare import compare, verdict
from results.runfile import Run
from scenarios.load import load
from scenarios.run import resume, run_pairing
from sims.core.errors import ControllerError

MINE = """\
import os
import re
import numpy as np
from controllers.contract import command
from sims.core.message import Message

class Mine:
    urgent = frozenset()

    def __init__(self, site):
        self.site, self.asked = site, 0
        self.feeder = site.grid.feeders[0]
        reached = np.array(self.feeder.gateways)[self.feeder.devices.node] != ""
        self.pv = np.flatnonzero((self.feeder.devices.kind == "pv") & reached)[:1]

    def cap(self, p_max_mw, ttl_s=900.0):
        gateway = self.feeder.gateways[self.feeder.devices.node[self.pv[0]]]
        device = self.feeder.devices.index[self.pv]
        return command(self.site, gateway, "manage_congestion", ttl_s, device=device, p_max_mw=p_max_mw)

    def decide(self, now_s, inbox):
        self.asked += 1
        if self.site.name != "dso_1.dms":
            return []
        BODY
        return []
"""
ENTRY = "controllers: [{{use: ./mine.py:Mine, at: dms, duties: [manage_congestion], {how}}}]\n"
SHORT = {"disturbances": [], "control.manage_congestion.cycle": "60 s", "time.duration": "8 min"}


@pytest.fixture
def own(scene, tmp_path):
    """Put a controller of that body in the control rooms; returns the scenario."""
    plain = scene.read_text()

    def write(body, how, **overrides):
        (tmp_path / "mine.py").write_text(MINE.replace("BODY", body.replace("\n", "\n        ")))
        scene.write_text(plain + ENTRY.format(how=how))
        return load(scene, None, SHORT | overrides)

    return write


ALL = """\
if now_s == 60:
    return [self.cap(np.array([0.0]), 180.0)]
if now_s == 120:
    return [][3]
if now_s == 180:
    return [self.cap(np.array([np.nan])), Message("", "dso_2.dms", "note", {})]
if now_s == 240:
    return [self.cap(np.array([1.0, 2.0])), self.cap(1.0), Message("", "dso_2.dmss", "note", {})]
if now_s == 300:
    there = command(self.site, "dso_1.f01", "manage_congestion", device=np.array([999999]), p_max_mw=np.array([1.0]))
    return [there, command(self.site, "dso_2.f01", "restore_supply", line=np.array([0]), closed=np.array([False]))]
if now_s == 360:
    return None"""
TOLD = [
    (120, "IndexError: list index out of range"),
    (180, "sent command/manage_congestion with p_max_mw not finite"),
    (240, "sent command/manage_congestion with 2 values of p_max_mw for 1 of device"),
    (240, "sent command/manage_congestion with a single one of p_max_mw for 1 of device"),
    (240, "sent note to 'dso_2.dmss', where nobody is (did you mean dso_2.dms?)"),
    (300, "ordered device 999999, which is none of its own"),
    (360, "TypeError: decide returned NoneType"),
]


@pytest.mark.parametrize("how", ["on_error: fallback", "on_error: fallback, isolate: true"])
def test_whatever_it_does_wrong_is_left_out_counted_and_named_and_the_rest_goes_on(own, tmp_path, how):
    path = run_pairing(own(ALL, how), "centralized", 2, tmp_path)
    with Run(path) as run:
        assert run.status == "complete"
        told = run.alarms.to_dataframe().query("kind == 'rejected'")
        found = list(zip(told["t_ms"] / 1000, told["text"], strict=True))
        assert len(found) == len(TOLD)
        for (at_s, text), (expected_s, says) in zip(found, TOLD, strict=True):
            assert (at_s, text[: len(says)]) == (expected_s, says)
        assert set(told["source"]) == {"dso_1.dms"}
        assert run.kpis["decisions_rejected"] == len(TOLD)
        # another's duty is the audit's matter, as ever
        acts = run.actions.to_dataframe().query("actor == 'dso_1.dms'")
        assert run.kpis["acts_refused"] == 1
        assert acts[acts["refused"] != ""]["asset"].tolist() == ["dso_2.f01"]
        # the sound message of a decision that is wrong in part leaves
        notes = run.texts("messages", "receiver")[run.is_one_of("messages", "sender", "dso_1.dms")].tolist()
        assert notes.count("dso_2.dms") == 1
        # the set-point of 60 s holds through the faults of 120 s and 180 s, until it expires at 240 s
        held = run.values("feeder", "pv_avail_mw")[:, 0] - run.values("feeder", "pv_mw")[:, 0]
        assert (held[2:4] > 1e-3).all()
        assert np.abs(held[[0, 5, 6, 7]]).max() < 1e-4
    said = verdict(compare({("centralized", 2): path}))
    assert "Faults of controllers: centralized, stage 2 (7 left out, the first of dso_1.dms at 120.000 s: Ind" in said


BODIES = {
    "wrong shape": (
        "return [self.cap(np.array([1.0, 2.0]))]",
        "sent command/manage_congestion with 2 values of p_max_mw for 1 of device",
    ),
    "unknown device": (
        "return [command(self.site, 'dso_1.f01', 'manage_congestion', device=np.array([-1]), p_max_mw=np.ones(1))]",
        "ordered device -1, which is none of its own",
    ),
    "unknown trafo": (
        "return [command(self.site, 'dso_1.f01', 'control_voltage', trafo=np.array([77]), v_set_pu=np.ones(1))]",
        r"ordered trafo 77 of dso_1\.f01, which is none of its own",
    ),
    "unknown feeder": (
        "return [command(self.site, 'dso_1.f00', 'restore_supply', line=np.array([0]), closed=np.array([True]))]",
        r"sent command/restore_supply to 'dso_1\.f00', where nobody is \(did you mean dso_1\.f0",
    ),
    "estimate": (
        "return [Message('', 'logbook', 'estimate', {'feeder': 'dso_1.f01', 'v_pu': np.ones(2)})]",
        r"estimated dso_1\.f01 with v_pu of shape \(2,\) for \d+ nodes",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BODIES)
def test_without_a_word_about_it_the_run_stops_before_the_message_is_sent(own, tmp_path, case):
    body, says = BODIES[case]
    with pytest.raises(ControllerError, match=rf"dso_1\.dms at 0\.000 s: {says}"):
        run_pairing(own(body, "budget: 60 s"), "centralized", 2, tmp_path)
    with Run(tmp_path / "centralized-2.h5") as run:
        assert run.status == "aborted"


WORKS = """\
if self.asked % 2:
    return [self.cap(np.array([self.site.rng.random()]) * self.asked)]"""


def test_apart_it_gives_the_same_run_to_the_last_bit(own, tmp_path, differing):
    one, other = (
        run_pairing(own(WORKS, f"isolate: {how}"), "centralized", 2, tmp_path / how) for how in ("false", "true")
    )
    with Run(one) as run:
        caps = run.actions.to_dataframe().query("actor == 'dso_1.dms' and quantity == 'p_max_mw'")["value"]
        assert len(caps) == 4
        assert caps.nunique() == 4
    assert set(differing(one, other)) <= {f"attribute: /@{name}" for name in ("scenario_json", "cell", "digest")}


def test_apart_it_goes_on_from_a_checkpoint(own, tmp_path, differing):
    scenario = own(WORKS, "isolate: true", **{"time.duration": "14 min"})
    whole = run_pairing(scenario, "centralized", 2, tmp_path / "whole")

    def interrupt(now_ms):
        if now_ms >= 660_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_pairing(scenario, "centralized", 2, tmp_path / "broken", progress=interrupt)
    path = resume(tmp_path / "broken" / "centralized-2.h5")
    assert differing(whole, path) == []


@pytest.mark.parametrize(("how", "ends"), [("on_error: fallback", False), ("on_error: stop", True)])
def test_apart_it_may_crash(own, tmp_path, how, ends):
    scenario = own("if now_s == 180:\n    os._exit(7)", f"isolate: true, {how}")
    says = r"its process has ended \(exit code 7\), and with it the controllers at 2 other sites"
    if ends:
        with pytest.raises(ControllerError, match=rf"dso_1\.dms at 180\.000 s: {says}"):
            run_pairing(scenario, "centralized", 2, tmp_path)
        return
    with Run(run_pairing(scenario, "centralized", 2, tmp_path)) as run:
        assert run.status == "complete"
        assert run.kpis["decisions_rejected"] == 1
        assert np.isfinite(run.values("interface", "p_mw")).all()


@pytest.mark.parametrize("how", ["on_error: fallback", "on_error: stop"])
def test_apart_it_is_stopped_even_in_a_loop_of_c_and_no_other_way_is_taken(own, tmp_path, how):
    scenario = own("if now_s == 120:\n    re.match('(a+)+$', 'a' * 60 + 'b')", f"isolate: true, budget: 1 s, {how}")
    with pytest.raises(ControllerError, match=r"dso_1\.dms at 120\.000 s: has not decided within 1 s"):
        run_pairing(scenario, "centralized", 2, tmp_path)
    with Run(tmp_path / "centralized-2.h5") as run:
        assert run.status == "aborted"
        assert run.seconds("system").tolist() == [0, 60]
