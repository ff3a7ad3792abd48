"""Files beside a scenario: profiles, nets, code, and paths that lead elsewhere."""

import datetime as dt
import io
import json
import os
import pickle
import sys
import zipfile
from zoneinfo import ZoneInfo

import numpy as np
import pytest

BERLIN = ZoneInfo("Europe/Berlin")


class Payload:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch taken",)


def table(stamps, header="time,H0-A_p,PV1_p", row="{t},0.5,0.4"):
    return "\n".join([header, *(row.format(t=t) for t in stamps)]) + "\n"


def quarters(start, hours):
    return [start + dt.timedelta(minutes=15 * k) for k in range(4 * hours)]


WEEK = [t.isoformat() for t in quarters(dt.datetime.fromisoformat("2016-07-19T00:00:00+02:00"), 96)]
NAMES = "der: {load: {profiles: [H0-A]}, pv: {profiles: [PV1]}, wind: {profiles: [PV1]}}"


def with_profiles(text, name="./week.csv"):
    static = "transmission: {static_load: {p_profile: [H0-A]}}"
    return text.replace("seed: 3", f"seed: 3\nprofiles: {name}\n{NAMES}\n{static}")


def edited(at, change):
    rows = table(WEEK).splitlines(keepends=True)
    return "".join([*rows[:at], change(rows[at]), *rows[at + 1 :]])


PROFILES = {
    "a gap": (edited(11, lambda row: ""), "week.csv:12", "gap of 1 rows after line 11"),
    "a duplicate": (edited(11, lambda row: row + row), "week.csv:13", "duplicate of line 12"),
    "backwards": (table([*WEEK[:9], WEEK[4], *WEEK[9:]]), "week.csv:11", "lies before line 10"),
    "nan": (edited(11, lambda row: row.replace("0.4", "nan")), "week.csv:12", "a value is missing or not finite"),
    "infinity": (edited(11, lambda row: row.replace("0.4", "1e999")), "week.csv:12", "not finite"),
    "a word": (edited(11, lambda row: row.replace("0.4", "high")), "week.csv:12", "'high' is not a number"),
    "a cell too few": (edited(11, lambda row: row.replace(",0.4", "")), "week.csv:12", "1 values for 2 series"),
    "no time": (edited(11, lambda row: row.replace("2016", "20l6")), "week.csv:12", "is not a time such as"),
    "no such hour": (table(WEEK).replace(WEEK[20][:16], "2016-07-19T25:00"), "week.csv:22", "is not a time such as"),
    "no header": ("\n".join(table(WEEK).splitlines()[1:]), "H0-A", "is not a series"),
    "one row": (table(WEEK[:1]), "week.csv is no table of profiles", "two rows"),
    "empty": ("", "week.csv is no table of profiles", ""),
    "latin-1": (table(WEEK).replace("H0", "H\xf6").encode("latin-1"), "week.csv is no table of profiles", "Unicode"),
    "a pickle": (pickle.dumps({"time": Payload()}), "week.csv is no table of profiles", ""),
    "a number too long": (edited(11, lambda row: row.replace("0.4", "9" * 200_000)), "week.csv", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", PROFILES)
def test_profiles_that_cannot_be(refused, small, home, case):
    content, *says = PROFILES[case]
    (home / "week.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    said = refused(with_profiles(small), "--deep")
    for part in says:
        assert part in said
    assert not (home / "taken").exists()


def profiles_of(folder, stamps, start, hours):
    from sims.der.profiles import Profiles

    (folder / "week.csv").write_text(table(stamps))
    return Profiles.read(
        folder / "week.csv", start=dt.datetime.fromisoformat(start), until_ms=hours * 3_600_000,
        timezone="Europe/Berlin",
    )


def naive_day(day, hours):
    """Local times without an offset, as a meter of `hours` hours writes them."""
    start = dt.datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=BERLIN).astimezone(dt.UTC)
    return [t.astimezone(BERLIN).strftime("%Y-%m-%dT%H:%M") for t in quarters(start, hours)]


def test_a_day_of_23_hours_without_offsets(home):
    stamps = naive_day("2016-03-27", 23)
    assert "2016-03-27T02:15" not in stamps
    found = profiles_of(home, stamps, "2016-03-27T00:00:00+01:00", 23)
    assert len(found.values) == 92
    assert found.end_ms == 23 * 3_600_000


def test_a_day_of_25_hours_without_offsets(home):
    stamps = naive_day("2016-10-30", 25)
    assert stamps.count("2016-10-30T02:15") == 2
    found = profiles_of(home, stamps, "2016-10-30T00:00:00+02:00", 25)
    assert len(found.values) == 100
    assert found.end_ms == 25 * 3_600_000


def test_an_hour_that_is_not_there_and_one_that_comes_a_third_time(home):
    from sims.core.errors import ScenarioError

    stamps = [t.replace("T03", "T02") for t in naive_day("2016-03-27", 23)]
    with pytest.raises(ScenarioError, match=r"week\.csv:10: .*does not exist in Europe/Berlin"):
        profiles_of(home, stamps, "2016-03-27T00:00:00+01:00", 23)
    stamps = naive_day("2016-10-30", 25)
    with pytest.raises(ScenarioError, match=r"week\.csv:\d+: .*(duplicate|lies before|min after)"):
        profiles_of(home, [*stamps[:16], *stamps[12:]], "2016-10-30T00:00:00+02:00", 25)


def test_stamps_without_an_offset_need_a_zone(home):
    from sims.core.errors import ScenarioError
    from sims.der.profiles import Profiles

    (home / "week.csv").write_text(table(naive_day("2016-07-19", 24)))
    with pytest.raises(ScenarioError, match=r"week\.csv:2: .*has no offset from UTC: write one or give a time zone"):
        Profiles.read(home / "week.csv")


PATHS = {
    "profiles": lambda name: ("seed: 3", f"profiles: {name}.csv"),
    "transmission.grid": lambda name: ("seed: 3", f"transmission: {{grid: {name}.json}}"),
    "dsos.0.interfaces.0.grids.1.grid": lambda name: ("grid: mv_oberrhein", f"grid: {name}.json"),
    "der.rules": lambda name: ("seed: 3", f"der: {{rules: {name}.toml}}"),
    "der.ev.sessions": lambda name: ("seed: 3", f"der: {{ev: {{sessions: {name}.csv}}}}"),
    "weather.file": lambda name: ("seed: 3", f"weather: {{file: {name}.csv, latitude: 50, longitude: 8}}"),
    "controllers.0.use": lambda name: (
        "seed: 3", f"controllers: [{{use: '{name}.py:Mine', at: dms, duties: [observe]}}]",
    ),
    "expect.": lambda name: ("seed: 3", f"expect: {{'{name}.py:mine': {{max: 1}}}}"),
    "expect.losses_mwh.baseline": lambda name: (
        "seed: 3", f"expect: {{losses_mwh: {{max_ratio: 1, baseline: {name}.csv}}}}",
    ),
    "extends": lambda name: ("seed: 3", f"extends: {name}.yaml"),
}
ENDINGS = (".csv", ".json", ".toml", ".py", ".yaml")


@pytest.mark.parametrize("field", PATHS)
@pytest.mark.parametrize("way", ["../other", "absolute", "link"])
def test_no_field_reads_outside_the_folder_of_the_scenario(refused, small, home, field, way):
    for ending in ENDINGS:
        (home.parent / f"other{ending}").write_text("secret: 1\n")
        (home / f"link{ending}").symlink_to(home.parent / f"other{ending}")
    name = {"../other": "../other", "absolute": str(home.parent / "other"), "link": "./link"}[way]
    old, new = PATHS[field](name)
    said = refused(small.replace(old, new))
    assert field in said
    assert "secret" not in said
    why = "is an absolute path" if way == "absolute" else "leads out of the scenario's folder"
    expected = f"{why}: put the file beside the scenario and write ./name"
    if field != "dsos.0.interfaces.0.grids.1.grid" or way != "absolute":  # a grid by an absolute name is no grid at all
        assert expected in said
    assert (home.parent / "other.csv").read_text() == "secret: 1\n"


def test_a_link_that_stays_in_the_folder_is_fine(home, small):
    from scenarios.load import load

    (home / "real.csv").write_text(table(WEEK))
    (home / "week.csv").symlink_to(home / "real.csv")
    (home / "a.yaml").write_text(with_profiles(small))
    assert load(home / "a.yaml").profiles == "./week.csv"


def test_links_in_a_ring_and_pipes_are_refused(refused, small, home):
    (home / "week.csv").symlink_to(home / "weak.csv")
    (home / "weak.csv").symlink_to(home / "week.csv")
    assert "profiles: './week.csv'" in refused(with_profiles(small))
    os.mkfifo(home / "pipe.csv")
    assert "'./pipe.csv' is no regular file" in refused(with_profiles(small, "./pipe.csv"))


def test_a_file_of_gigabytes_is_not_read(refused, small, home):
    with (home / "week.csv").open("wb") as file:
        file.truncate(2_000_000_000)  # takes no room
    assert "profiles: './week.csv' has 2000 MB; at most 1000 MB are read" in refused(with_profiles(small))


def net(**parts):
    return json.dumps({"_module": "pandapower.auxiliary", "_class": "pandapowerNet", "_object": parts})


def bombed_zip():
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net.json", b"0" * 50_000_000)
    return kept.getvalue()


def thing(module, kind="x"):
    return {"_module": module, "_class": kind, "_object": "{}"}


NETS = {
    "a foreign module": (net(bus=thing("os")), "names the module 'os', which no pandapower net needs"),
    "one in a text": (net(bus=json.dumps({"a": thing("subprocess", "Popen")})), "names the module 'subprocess'"),
    "two texts deep": (net(bus=json.dumps({"a": json.dumps(thing("shutil", "rmtree"))})), "names the module 'shutil'"),
    "its key escaped": (net(bus=thing("os")).replace('"_module": "os"', '"\\u005fmodule": "os"'), "the module 'os'"),
    "one like pandapower": (net(bus=thing("pandapower_evil.core")), "names the module 'pandapower_evil.core'"),
    "a part of pandapower that reads files": (net(a=thing("pandapower.file_io")), "the module 'pandapower.file_io'"),
    "a part of numpy": (net(a=thing("numpy.f2py")), "names the module 'numpy.f2py'"),
    "a function": (net(a=thing("pandapower", "function")), "a function ('pandapower'): a net brings data, no code"),
    "exec": (net(a=thing("builtins", "exec")), "names a exec"),
    "a builtin": (net(a=thing("builtins", "open")), "names the module 'builtins'"),
    "the net itself": (json.dumps(thing("os.path")), "names the module 'os.path'"),
    "a module that is a list": (net(a={"_module": ["os"], "_class": "x"}), "names a module or class that is no text"),
    "no net": ('{"a": 1}', "is no pandapower net; write it with pandapower.to_json"),
    "no JSON": ("{", "cannot be read as JSON"),
    "empty": ("", "cannot be read as JSON"),
    "20 000 deep": ("[" * 20_000, "is nested too deep"),
    "a pickle": (pickle.dumps(Payload()), "it is not UTF-8"),
    "a zip bomb": (bombed_zip(), "cannot be read as JSON"),
}  # fmt: skip


@pytest.mark.parametrize("case", NETS)
def test_a_net_that_brings_more_than_data(refused, small, home, case):
    content, says = NETS[case]
    (home / "mine.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    said = refused(small.replace("grid: mv_oberrhein", "grid: ./mine.json"))
    assert "winter.yaml:16 dsos.0.interfaces.0.grids.1.grid: 'mine.json' " in said
    assert says in said
    assert not (home / "taken").exists()


def test_foreign_modules_are_refused_before_pandapower_is_imported(fresh, home, small):
    (home / "mine.json").write_text(net(bus=thing("evil")))
    (home / "evil.py").write_text("open('taken', 'w')")
    (home / "winter.yaml").write_text(small.replace("grid: mv_oberrhein", "grid: ./mine.json"))
    code = (
        "import sys; sys.argv = ['gridseam', 'validate', 'winter.yaml']\n"
        "from gridseam.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    print('pandapower' in sys.modules, 'evil' in sys.modules)"
    )
    done = fresh("-c", code)
    assert done.returncode == 2
    assert done.stdout == "False False\n"
    assert "names the module 'evil'" in done.stderr
    assert not (home / "taken").exists()


def test_a_net_of_ones_own_still_loads(home, small):
    import pandapower as pp
    import pandapower.networks as pn

    from scenarios.load import load
    from scenarios.nets import net as read

    pp.to_json(pn.create_cigre_network_mv(), str(home / "mine.json"))
    (home / "a.yaml").write_text(small.replace("grid: mv_oberrhein", "grid: ./mine.json"))
    assert load(home / "a.yaml").feeders()[2].grid == "./mine.json"
    assert len(read("./mine.json", home).bus) == 15


def test_pickles_are_refused_by_name_and_by_content(refused, small, home):
    (home / "mine.p").write_bytes(pickle.dumps(Payload()))
    assert "nor a ./file.json" in refused(small.replace("grid: mv_oberrhein", "grid: ./mine.p"))
    (home / "own.json").write_bytes(pickle.dumps(Payload()))
    assert "transmission.grid: own.json is no transmission table" in refused(
        small.replace("seed: 3", "transmission: {grid: ./own.json}")
    )
    assert not (home / "taken").exists()


def test_a_transmission_table_without_end_is_refused(refused, small, home):
    (home / "own.json").write_text("[" * 50_000)
    assert "own.json is no transmission table" in refused(small.replace("seed: 3", "transmission: {grid: ./own.json}"))


CODE = {
    "no such file": ("./none.py:Mine", "there is no file './none.py' beside the scenario"),
    "no such class": ("./mine.py:Other", "there is no class 'Other' in mine.py; it has Mine"),
    "no Python": ("./bad.py:Mine", "bad.py:1 is not Python"),
    "no name": ("./mine.py:", "is not the name of a class"),
    "a module": ("json.decoder:JSONDecoder", "outside the scenario's folder: if you know it, give --trust-code"),
    "a module in the folder": ("mine:Mine", "names code outside the scenario's folder"),
    "no plug-in": ("nobody", "names no controller"),
}


@pytest.mark.parametrize("case", CODE)
def test_code_is_named_by_file_and_not_run_to_be_checked(refused, small, home, case):
    use, says = CODE[case]
    (home / "mine.py").write_text("open('taken', 'w')\nclass Mine:\n    pass\n")
    (home / "bad.py").write_text("class Mine(:\n")
    text = small.replace("seed: 3", f"controllers: [{{use: '{use}', at: dms, duties: [observe]}}]")
    said = refused(text)
    assert "winter.yaml:6 controllers.0.use: " in said
    assert says in said
    assert not (home / "taken").exists()


def test_validating_runs_no_code_of_the_scenario(gridseam, small, home):
    (home / "mine.py").write_text("open('taken', 'w')\nclass Mine:\n    pass\ndef worst(run):\n    return 1.0\n")
    own = "controllers: [{use: './mine.py:Mine', at: dms, duties: [observe]}]\nexpect: {'./mine.py:worst': {max: 1}}"
    (home / "winter.yaml").write_text(small.replace("seed: 3", own))
    assert gridseam("validate", "winter.yaml").returncode == 0
    assert not (home / "taken").exists()


def test_trust_code_lets_a_module_be_named(gridseam, small, home, monkeypatch):
    from scenarios.trust import trust_code

    monkeypatch.syspath_prepend(home)
    (home / "elsewhere.py").write_text("class Mine:\n    pass\n")
    own = "controllers: [{use: 'elsewhere:Mine', at: dms, duties: [observe]}]"
    (home / "winter.yaml").write_text(small.replace("seed: 3", own))
    try:
        assert gridseam("validate", "winter.yaml").returncode == 2
        assert gridseam("validate", "winter.yaml", "--trust-code").returncode == 0
    finally:
        trust_code(False)
    assert "elsewhere" not in sys.modules


def test_a_run_file_whose_texts_unfold_to_gigabytes_is_refused(gridseam, home):
    import h5py

    with h5py.File(home / "bomb.h5", "w") as file:
        file.attrs["format"], file.attrs["format_version"] = np.bytes_(b"gridseam-run"), 1
        group = file.create_group("bus")
        group.create_dataset("bus", (40_000_000,), "S1000", chunks=(100_000,), compression="gzip")
    done = gridseam("info", "bomb.h5")
    assert done.returncode == 2
    assert "bomb.h5" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_no_run_file_is_refused(gridseam, home):
    for name, content in {"a": b"", "b": b"\x89HDF\r\n\x1a\n" + b"\0" * 500, "c": pickle.dumps(Payload())}.items():
        (home / f"{name}.h5").write_bytes(content)
        done = gridseam("info", f"{name}.h5")
        assert done.returncode == 2
        assert f"{name}.h5" in done.stderr
        assert "Traceback" not in done.stderr
    assert not (home / "taken").exists()
