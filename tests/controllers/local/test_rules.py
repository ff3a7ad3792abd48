import numpy as np
import pytest

from controllers.local import rules
from controllers.local.fcr import FCR, V2G
from controllers.local.makers import makers
from controllers.local.pf import VDE_4105, VDE_4110
from controllers.local.settings import equip
from controllers.local.trips import TripSettings
from sims.core.errors import ScenarioError


def test_the_german_set_holds_the_defaults_of_the_laws():
    made = {law: make(2) for law, make in makers(rules.read("vde")).items()}
    assert made["pf_4105"].settings == VDE_4105
    assert made["pf_4110"].settings == VDE_4110
    assert made["fcr"].settings == FCR
    assert made["fcr_v2g"].settings == V2G
    assert "trips" not in made
    assert made["qu"].curve(1.0).x == (0.93, 0.97, 1.03, 1.07)


def test_both_ieee_categories_come_along():
    a, b = (makers(rules.read(f"ieee1547_{c}")) for c in "ab")
    assert b["trips"](1).settings == TripSettings(cease_v_pu=(0.5, 1.1))
    assert a["trips"](1).settings.cease_v_pu is None
    assert a["trips"](1).settings.under_v == ((0.70, 2.0), (0.45, 0.16))
    assert a["qu"](1).curve(1.0).x == (0.90, 1.0, 1.10)
    assert set(rules.names()) == {"vde", "ieee1547_a", "ieee1547_b"}


def test_frequencies_follow_the_grid_and_clearing_times_do_not():
    made = makers(rules.read("ieee1547_b"), 50.0)
    s = made["trips"](1).settings
    assert s.over_f == ((pytest.approx(51.2), 300.0), (pytest.approx(52.0), 0.16))
    assert s.enter_f_hz == pytest.approx((49.5, 50.1))
    curve = made["pf_4105"](1).curve(1.0)
    assert curve(np.array([50.0, 50.5])) == pytest.approx([0.0, -(0.5 - 0.036) / (50 * 0.05)])


def test_a_law_that_rules_leave_out_is_not_carried(tmp_path):
    (tmp_path / "mine.toml").write_text('f0_hz = 50.0\n[pf_4105]\nform = "frozen_droop"\ntau_s = 0.2\n')
    found = equip(
        "local", 4, kind=np.array(["pv", "storage"]), level=np.array(["lv", "lv"]), v2g_share=np.zeros(2),
        p_rated_mw=np.ones(2), rules=rules.read("./mine.toml", tmp_path),
    )
    assert [law.name for law, _ in found] == ["pf_4105"]
    assert found[0][0].settings.tau_s == 0.2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[qu]\nform = "volt_var"\npoints = [[0.9, 1.0], [0.97, 0.0], [1.03, 0.2], [1.07, -1.0]]\n',
         "own.toml:3 qu.points: is not monotone: it must fall, and rises from 0 to 0.2 at 1.03"),
        ('[qu]\nform = "volt_var"\npoints = [[0.97, 1.0], [0.93, 0.0]]\n', "own.toml:3 qu.points: does not rise"),
        ('[qu]\nform = "volt_war"\n', "own.toml:2 qu.form: 'volt_war' is not one of"),
        ('[qu]\n\nform = "volt_var"\n', "own.toml:1 qu.points: is missing"),
        ('[cap]\nform = "cap"\nshare = 1.7\n', "own.toml:3 cap.share: must lie in 0 to 1"),
        ('[cap]\nform = "cap"\nshar = 0.7\n', "own.toml:3 cap.shar: is no number of this form (did you mean share?)"),
        ('[qv]\nform = "cap"\n', "own.toml:1 qv: is no law (did you mean qu?)"),
        ('[pf_4105]\nform = "frozen_droop"\nstart_over_hz = 50.2\ntrip_high_hz = 50.1\n',
         "own.toml:4 pf_4105.trip_high_hz: 50.1 Hz must lie above start_over_hz, 50.2 Hz"),
        ('f0_hz = 5\n', "own.toml:1 f0_hz: is no nominal frequency"),
        ('[cap\n', "own.toml:1: is not TOML"),
    ],
)  # fmt: skip
def test_what_is_refused_says_file_line_and_field(tmp_path, text, says):
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(ScenarioError) as err:
        rules.read("./own.toml", tmp_path)
    assert says in str(err.value)


def test_unknown_rules_name_the_nearest(tmp_path):
    with pytest.raises(ScenarioError, match="did you mean ieee1547_b"):
        rules.read("ieee1457_b")
    with pytest.raises(ScenarioError, match=r"gone\.toml: cannot be read"):
        rules.read("./gone.toml", tmp_path)
