import pytest

from scenarios.load import changed, find, load, variants
from sims.core.errors import ScenarioError


def refused(path, *args, **kwargs):
    with pytest.raises(ScenarioError) as caught:
        load(path, *args, **kwargs)
    return [str(p) for p in caught.value.problems]


def replaced(text, old, new):
    assert text.count(old) >= 1
    return text.replace(old, new, 1)


def test_a_right_file_loads(small, write):
    scenario = load(write(small))
    assert scenario.name == "small"
    assert scenario.time.duration_ms == 86_400_000
    assert scenario.pairing.architecture == "local"
    assert scenario.control.manage_congestion.cycle_ms == 300_000
    assert scenario.folder == write(small).parent


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "architecture: local, stage: 1", "architecture: centrall, stage: 1",
            "winter.yaml:6 pairing.architecture: 'centrall' is not one of local | centralized | distributed "
            "(did you mean centralized?)",
        ),
        ("stage: 1", "stage: 5", "winter.yaml:6 pairing.stage: '5' is not one of 1 | 2 | 3 | 4"),
        (
            "  step: 60 s", "  stepp: 60 s",
            "winter.yaml:5 time.stepp: is not known here; known are start, duration, step, zone (did you mean step?)",
        ),
        (
            "duration: 24 h", "duration: 24",
            "winter.yaml:4 time.duration: 24 has no unit: write a number and its unit, such as 100 ms, 60 s, 15 min, "
            "24 h or 7 d",
        ),
        (
            "step: 60 s", "step: 7 s",
            "winter.yaml:5 time.step: 7 s does not divide the duration of the run, 1 d",
        ),
        ("+02:00", "", 'winter.yaml:3 time.start: \'2016-07-20T00:00:00\' has no offset from UTC: write it as '
                       '"2016-07-20T00:00:00+02:00"'),
        ("    cell: 2\n", "", "winter.yaml:22 dsos.1.cell: is missing"),
        ("cell: 2", "cell: 9", "winter.yaml:23 dsos.1.cell: 9 is not one of the cells 1 | 2 | 3 of ieee39"),
        ("cell: 2", "cell: 3", "winter.yaml:25 dsos.1.interfaces.0.bus: bus 15 lies in cell 2, south in cell 3"),
        ("bus: 15", "bus: 99", "winter.yaml:25 dsos.1.interfaces.0.bus: 99 is not a bus of ieee39 (1..39)"),
        (
            "bus: 8", "bus: 4",
            "winter.yaml:19 dsos.0.interfaces.1.bus: bus 4 already has an interface, of north; list its grids there",
        ),
        ("name: south", "name: north", "winter.yaml:22 dsos.1.name: 'north' is the name of two DSOs"),
        (
            "grid: mv_oberrhein", "grid: mv_oberrein",
            "winter.yaml:18 dsos.0.interfaces.0.grids.1.grid: 'mv_oberrein' is not one of mv_oberrhein | "
            "mv_oberrhein_kerber | cigre_mv | cigre_mv_lv, nor a ./file.json, .xlsx, .m, .mat, .zip or .xml, nor a "
            "SimBench code like simbench:1-MV-rural--0-sw (did you mean mv_oberrhein?)",
        ),
        ("count: 2", "count: 0", "winter.yaml:17 dsos.0.interfaces.0.grids.0.count: 0 must be >= 1"),
        ("count: 2", "count: two", "winter.yaml:17 dsos.0.interfaces.0.grids.0.count: 'two' is not a whole number"),
        ("count: 2", "count: true", "winter.yaml:17 dsos.0.interfaces.0.grids.0.count: 'true' is not a whole number"),
        (
            "sn_mva: 300", "sn_mva: .nan",
            "winter.yaml:20 dsos.0.interfaces.1.trafo.sn_mva: 'nan' is not a finite number",
        ),
        ("sn_mva: 300", "sn_mva: -3", "winter.yaml:20 dsos.0.interfaces.1.trafo.sn_mva: -3 must be > 0"),
        (
            "kind: line_fault", "kind: line_falt",
            "winter.yaml:29 disturbances.0.kind: 'line_falt' is not one of line_fault | comms_outage | "
            "link_outage | tamper | drop | delay | replay | flood | attack | generator_trip | load_step | "
            "load_ramp | line_switch | island (did you mean line_fault?)",
        ),
        (
            "kind: line_fault, feeder", "feeder",
            "winter.yaml:29 disturbances.0: kind is missing: what happens?",
        ),
        (
            "line: 3}", "lines: 3}",
            "winter.yaml:29 disturbances.0.lines: is not known here; known are at, kind, feeder, line "
            "(did you mean line?)",
        ),
        (
            "north.f02", "north.f12",
            "winter.yaml:29 disturbances.0.feeder: 'north.f12' is not a feeder; north has north.f01 to north.f04",
        ),
        (
            "north.f02", "f02",
            "winter.yaml:29 disturbances.0.feeder: 'f02' is not a feeder: feeders are called <dso>.f<number>, such as "
            "north.f01 (did you mean north.f02?)",
        ),
        ("fcr_mw: 300", "fcr: 300", "winter.yaml:9 transmission.reserves.0.fcr: is not known here; known are cell, "
                                    "fcr_mw, afrr_mw (did you mean fcr_mw?)"),
        ("name: small", "name: ../../etc", "winter.yaml:1 name: '../../etc' is no name: a letter, then letters, "
                                           "digits, _ and -, at most 64"),
    ],
)  # fmt: skip
def test_one_fault_gives_one_line_that_says_where_and_what(small, write, old, new, says):
    found = refused(write(replaced(small, old, new)))
    assert says in found


def test_all_faults_come_at_once_in_the_order_of_the_file(small, write):
    text = small.replace("step: 60 s", "step: 60").replace("stage: 1", "stage: 7").replace("count: 2", "count: x")
    found = refused(write(text + "surprise: 1\n"))
    assert [line.split()[0] for line in found] == ["winter.yaml:5", "winter.yaml:6", "winter.yaml:17", "winter.yaml:34"]


def test_a_doubled_key_stands_beside_other_faults(small, write):
    text = small.replace("  step: 60 s\n", "  step: 60 s\n  step: 90 s\n").replace("stage: 1", "stage: 7")
    found = refused(write(text))
    assert found[0] == "winter.yaml:6 time.step: stands here twice, first in line 5; remove one"
    assert found[1].startswith("winter.yaml:7 pairing.stage")


def test_a_disturbance_after_the_end_is_refused(late, write):
    assert refused(write(late)) == [
        "winter.yaml:30 disturbances.1.at: '1d 00:00' is not inside the run; the run lasts from 2016-07-20 00:00 to "
        "2016-07-21 00:00"
    ]


def test_a_disturbance_before_the_start_names_the_next_day(small, write):
    text = small.replace("T00:00:00", "T16:00:00")
    assert "(did you mean 1d 15:00?)" in refused(write(text))[0]


def test_a_list_instead_of_a_scenario_is_refused(write):
    assert refused(write("- 1\n")) == ["winter.yaml:1: a scenario is a mapping of keys such as name, time and dsos"]


@pytest.mark.parametrize(
    ("node", "right"),
    [
        ("tso", True), ("north.dms", True), ("north.crew", True), ("north.f04", True), ("north.f04.s7", True),
        ("north.i2", True), ("north.f05", False), ("north.i3", False), ("nort.dms", False), ("north", False),
        ("north.dsm", False), ("", False),
    ],
)  # fmt: skip
def test_an_outage_names_a_place_of_the_network(late, write, node, right):
    text = late.replace("1d 00:00", "1h").replace("north.dms", f'"{node}"')
    if right:
        assert load(write(text)).disturbances[1].node == node
    else:
        assert refused(write(text))[0].startswith("winter.yaml:30 disturbances.1.node: ")


def test_a_generator_is_looked_up_in_the_table(late, write):
    trip = '- {at: "18:30", kind: generator_trip, generator: G11}'
    text = late.replace('- {at: "1d 00:00", kind: comms_outage, node: north.dms, duration: 10 min}', trip)
    assert refused(write(text))[0].startswith("winter.yaml:30 disturbances.1.generator: 'G11' is not one of G1 | G2")
    assert load(write(text.replace("G11", "G8"))).disturbances[1].generator == "G8"


def test_profiles_are_looked_up_and_have_to_cover_the_run(small, write):
    assert "did you mean summer?" in refused(write(small + "profiles: sumer\n"))[0]
    assert refused(write(small + "profiles: winter\n"))[0].startswith("winter.yaml:3 time.start: the run lasts")
    assert "'PV99' is not a series" in refused(write(small + "der: {pv: {profiles: [PV99]}}\n"))[0]
    assert "there is no file './mine.csv'" in refused(write(small + "profiles: ./mine.csv\n"))[0]
    write("nothing\n", "mine.csv")
    assert "mine.csv is no table of profiles" in refused(write(small + "profiles: ./mine.csv\n"))[0]


def test_own_profiles_are_taken(small, write):
    names = ("G0-A", "H0-A", "H0-B", "PV1", "PV3", "WP1")
    rows = ["time," + ",".join(f"{n}_p" for n in names)]
    rows += [f"2016-07-{20 + h // 24:02d}T{h % 24:02d}:00+02:00,0,0,0,0,0,0" for h in range(24)]
    write("\n".join(rows), "mine.csv")
    assert load(write(small + "profiles: ./mine.csv\n")).profiles == "./mine.csv"
    write("\n".join(rows[:-1]), "mine2.csv")
    assert "time.start" in refused(write(small + "profiles: ./mine2.csv\n"))[0]


def test_links_are_checked(small, write):
    def links(text):
        return refused(write(f"{small}communication:\n  links:\n    - {text}\n"))[0]

    head = "winter.yaml:36 communication.links.0"
    assert links("{from: dms, to: tso, technology: 5G}").startswith(f"{head}.technology: '5G' is not one of ideal | ")
    assert links("{from: dms, technology: lte}") == f"{head}: names only one end; give both 'from' and 'to'"
    assert links("{technology: lte}") == f"{head}: names either 'from' and 'to', or 'between'"
    assert links("{from: dms, to: dms, technology: lte}") == f"{head}: connects dms with itself"
    assert links("{from: crew, to: tso, technology: lte}").startswith(f"{head}: crew - tso are not linked; ")


def test_periods_have_to_fit_the_step(small, write):
    text = small + "record: {bus: 90 s}\n"
    assert refused(write(text)) == ["winter.yaml:34 record.bus: 90 s is not a multiple of the grid step, 1 min"]


def test_own_controllers_are_checked_without_running_them(small, write):
    write("raise SystemExit('ran')\nclass Mine:\n    pass\n", "mine.py")
    head = small + "controllers:\n  - "
    scenario = load(write(head + "{use: ./mine.py:Mine, at: dms, duties: [manage_congestion], settings: {gain: 2}}"))
    assert scenario.controllers[0].settings == {"gain": 2}
    for use, says in [
        ("./mine.py:Mien", "there is no class 'Mien' in mine.py; it has Mine (did you mean Mine?)"),
        ("./min.py:Mine", "there is no file './min.py' beside the scenario (did you mean mine.py?)"),
    ]:
        found = refused(write(head + f"{{use: {use}, at: dms, duties: [manage_congestion]}}"))
        assert found == [f"winter.yaml:35 controllers.0.use: {says}"]
    found = refused(write(head + "{use: ./mine.py:Mine, at: dms, duties: [manage_congestions]}"))
    assert found[0].startswith("winter.yaml:35 controllers.0.duties.0: 'manage_congestions' is not one of observe")
    found = refused(write(head + "{use: ./mine.py:Mine, at: dms, duties: [observe], architecture: local}"))
    assert found == [
        "winter.yaml:35 controllers.0.architecture: no dms decides in local; a dms decides in centralized only"
    ]
    twice = "{use: ./mine.py:Mine, at: dms, duties: [observe]}"
    assert "already taken by ./mine.py:Mine" in refused(write(f"{head}{twice}\n  - {twice}\n"))[0]


def test_a_variant_is_merged_over_the_file(small, write):
    scenario = load(write(small), "short")
    assert (scenario.variant, scenario.time.duration_ms, scenario.disturbances) == ("short", 7_200_000, ())
    assert scenario.time.step_ms == 60_000
    assert variants(write(small)) == ("short", "broken")


def test_a_fault_of_a_variant_stands_in_the_line_of_the_variant(small, write):
    found = refused(write(small), "broken")
    assert found[0].startswith("winter.yaml:33 pairing.architecture: 'centrall' is not one of")


def test_an_unknown_variant_names_the_nearest(small, write):
    assert refused(write(small), "shor")[0] == (
        "winter.yaml:30 variants: there is no variant 'shor'; there are short, broken (did you mean short?)"
    )


def test_overrides_reach_everything_and_come_last(small, write):
    scenario = load(
        write(small), "short",
        {"time.duration": "3 h", "architecture": "distributed", "stage": 4, "dsos.south.interfaces.0.trafo.sn_mva": 5,
         "limits.v_max_pu": 1.1, "dsos.0.interfaces.0.grids.0.count": 7},
    )  # fmt: skip
    assert scenario.time.duration_ms == 10_800_000
    assert (scenario.pairing.architecture, scenario.pairing.stage) == ("distributed", 4)
    assert scenario.dsos[1].interfaces[0].trafo.sn_mva == 5
    assert len(scenario.feeders()) == 10


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("der.pv.mw_pr_mw", 3, "-x der.pv.mw_pr_mw=3: 'mw_pr_mw' is not known in der.pv (did you mean mw_per_mw"),
        ("dsos.sout.cell", 1, "-x dsos.sout.cell=1: dsos has no entry 'sout'; it has north, south (did you mean "),
        ("stage", 9, "-x stage=9 pairing.stage: '9' is not one of 1 | 2 | 3 | 4"),
        ("time.step", 60, "-x time.step=60 time.step: 60 has no unit"),
        ("name.x", 1, "-x name.x=1: name is a single value; it has no 'x'"),
        ("a..b", 1, "-x a..b=1: 'a..b' is not a dotted key"),
        ("disturbances.9.at", "1 h", "-x disturbances.9.at=1 h: disturbances has no entry '9'; it has 0 to 0"),
        ("tine.step", "1 s", "-x tine.step=1 s: 'tine' is not known in a scenario (did you mean time?)"),
    ],
)
def test_a_wrong_override_is_named_as_it_was_written(small, write, key, value, says):
    assert refused(write(small), overrides={key: value})[0].startswith(says)


def test_changing_a_checked_scenario_checks_it_again(small, write):
    scenario = load(write(small), "short")
    other = changed(scenario, {"seed": 7, "matrix.stage": [1, 2]})
    assert (other.seed, other.matrix.stage, other.variant, other.folder) == (7, (1, 2), "short", scenario.folder)
    assert changed(scenario, {}) is scenario
    with pytest.raises(ScenarioError, match=r"-x seed=-1 seed: -1 must be >= 0"):
        changed(scenario, {"seed": -1})


def test_shipped_scenarios_are_found_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find("three_cells") == find("three_cells.yaml")
    with pytest.raises(ScenarioError, match=r"there is no such file \(did you mean three_cells\?\)"):
        find("three_cell.yaml")
    (tmp_path / "three_cells.yaml").write_text("name: own")
    assert find("three_cells.yaml").read_text() == "name: own"


@pytest.mark.parametrize("variant", [None, *variants("three_cells")])
def test_the_shipped_scenario_is_right_with_all_its_variants(variant):
    scenario = load("three_cells", variant)
    assert {f.cell for f in scenario.feeders()} == {1, 2, 3}
    assert scenario.disturbances
    assert all(0 <= scenario.at_ms(d) < scenario.time.duration_ms for d in scenario.disturbances)
