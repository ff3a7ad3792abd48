"""The DMS on the command line: what a person types, and what they mistype."""

import json

import pytest


def told(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_flisr_of_the_paper_case_with_a_picture(gridseam, tmp_path):
    found = told(gridseam("dms", "flisr", "--grid", "case33bw", "--fault", "line:6", "--json", "--picture", "f.svg"))
    assert found["located"] == "line:6 (6-7)"
    assert found["close"] == ["line:0 (0-1)", "line:34 (11-21)"]
    assert found["losses_mw"] == pytest.approx(0.156529, abs=1e-6)
    assert found["dark_mw"] == 0.0
    assert (tmp_path / "f.svg").read_text().lstrip().startswith("<?xml")


def test_a_lost_indicator_changes_the_outcome(gridseam):
    found = told(gridseam("dms", "flisr", "--fault", "line:6", "--lost", "line:6", "--json"))
    assert found["located"] == "line:5 (5-6)"
    assert found["found"] is False
    assert "trip again" in found["warning"]


def test_reconfigure_prints_a_table_for_people(gridseam):
    done = gridseam("dms", "reconfigure")
    assert done.returncode == 0, done.stderr
    assert "losses_after_kw: 139.55" in done.stdout
    assert "all_states_tried: yes" in done.stdout
    found = told(gridseam("dms", "reconfigure", "--json"))
    assert found["losses_before_kw"] == pytest.approx(202.677, abs=0.001)
    assert found["states"] == 50_751
    assert found["rows"][0]["infeed"] == "0"


def test_short_circuit_hosting_and_contingency(gridseam):
    currents = told(gridseam("dms", "short-circuit", "--grid", "case33bw", "--close", "line:34", "--json"))
    assert len(currents["rows"]) == 33
    assert currents["rows"][0]["ik_max_ka"] == pytest.approx(250 / 3**0.5 / 12.66, rel=1e-3)
    assert currents["breakers"] == "the grid has no switches: nothing to check"
    assert "250 MVA" in currents["assumed"][0]
    hosting = told(gridseam("dms", "hosting-capacity", "--json"))
    assert {row["limit"] for row in hosting["rows"]} <= {"none", "voltage rise", "voltage band", "rating"}
    assert hosting["together_mw"] > 0
    outages = told(gridseam("dms", "contingency", "--json"))
    assert outages["outages"] == 33
    assert outages["rows"][0]["v_min_pu"] is None  # nothing replaces the only infeed


def test_estimate_names_what_nobody_sees(gridseam, tmp_path):
    found = told(gridseam("dms", "estimate", "--json"))
    assert found["plausible"] is True
    assert found["unobservable"] == []
    assert len(found["rows"]) == 33
    # The line to bus 15 is known from all the others; how its flow parts among 15, 16 and 17 nobody sees.
    without = [part for bus in (15, 16, 17) for part in ("--without", f"bus:{bus}")]
    blind = told(gridseam("dms", "estimate", *without, "--json"))
    assert blind["unobservable"] == ["buses 16, 17"]
    assert len(blind["rows"]) == 31
    lines = ["kind,place,value,sigma", "v,bus:0,1.0,0.004", "p_from,line:0,3.9,0.02", "q_from,line:0,2.4,0.02"]
    (tmp_path / "few.csv").write_text("\n".join(lines))
    few = told(gridseam("dms", "estimate", "--measurements", "few.csv", "--json"))
    assert [row["bus"] for row in few["rows"]] == ["0", "1"]
    assert few["unobservable"][0].startswith("buses 2, 3, 4")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["flisr", "--fault", "lin:6"], "'lin:6' names nothing in grid case33bw (did you mean line:6?)"),
        (["flisr", "--fault", "6"], "(did you mean line:6?)"),
        (["flisr", "--fault", "line:60"], "there is no line:60 (did you mean line:36?)"),
        (["flisr", "--fault", "line:34"], "carries nothing as switched"),
        (["flisr", "--grid", "case33b", "--fault", "line:6"], "there is no grid 'case33b' (did you mean case33bw?)"),
        (["flisr"], "--fault"),
        (["reconfigure", "--infeed", "5", "--infeed", "6"], "has 1 infeeds, not 2"),
        (["reconfigure", "--picture", "map.jpg"], "map.jpg: a picture is one of .svg, .png, .pdf"),
        (["estimate", "--without", "bus:99"], "there is no bus:99 (did you mean bus:32?)"),
        (["estimate", "--measurements", "none.csv"], "none.csv: cannot be read"),
        (["hosting-capacity", "--cos-phi", "0.1"], "cos-phi"),
        (["inertia", "none.h5"], "none.h5: no such run file"),
        (["short-circuit", "--open", "line:77"], "there is no line:77 (did you mean line:36?)"),
    ],
)
def test_what_is_mistyped_is_named_with_exit_code_2(gridseam, arguments, says):
    done = gridseam("dms", *arguments)
    assert done.returncode == 2, done.stdout
    assert says in " ".join(done.stderr.split()), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("volts,bus:0,1,0.01", "few.csv:2: kind 'volts' is not one of"),
        ("v,bus:44,1,0.01", "few.csv:2: grid case33bw: there is no bus:44"),
        ("v,bus:0,1", "few.csv:2: has 3 values instead of 4"),
        ("v,bus:0,one,0.01", "few.csv:2: could not convert"),
        ("v,bus:0,1,0", "sigma above 0"),
    ],
)
def test_a_wrong_measurement_is_named_with_its_line(gridseam, tmp_path, line, says):
    (tmp_path / "few.csv").write_text(f"kind,place,value,sigma\n{line}\n")
    done = gridseam("dms", "estimate", "--measurements", "few.csv")
    assert done.returncode == 2
    assert says in " ".join(done.stderr.split())
