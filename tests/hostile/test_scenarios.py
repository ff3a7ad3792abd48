"""Scenario files that are broken or meant to do harm: refused with file, line, field and what to do."""

import pytest

HEAD = "winter.yaml"


def bomb(levels=12):
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


FILES = {
    "empty": ("", "winter.yaml: is empty; `gridseam list` names scenarios to start from"),
    "only a comment": ("# later\n", "is empty"),
    "cut short in a list": ("name: x\ndsos: [{name: a,", "winter.yaml:2: is not YAML"),
    "cut short in a text": ('name: "x', "winter.yaml:1: is not YAML"),
    "latin-1": ("name: x\ntitle: K\xf6ln\n".encode("latin-1"), "winter.yaml:2: is not UTF-8; save the file as UTF-8"),
    "utf-16 with its mark": ("name: x\n".encode("utf-16"), "winter.yaml:1: is not UTF-8"),
    "utf-8 cut in a letter": ("name: K\xf6ln".encode()[:-3], "winter.yaml:1: is not UTF-8"),
    "zeros": (b"\0" * 4096, "winter.yaml: is not YAML"),
    "a control character": (b"name: \x07\n", "is not YAML"),
    "a pickle": (b"\x80\x04\x95\x0f\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.", "is not UTF-8"),
    "a zip archive": (b"PK\x03\x04" + bytes(range(256)) * 16, "is not UTF-8"),
    "over 50 MB": (b"#" * 51_000_000, "winter.yaml: has 51 MB; a scenario has at most 5 MB"),
    "20 000 deep, flow": ("a: " + "[" * 20_000, "winter.yaml:1: is nested deeper than 30 levels"),
    "20 000 deep, mapping": ("{a: " * 20_000, "is nested deeper than 30 levels"),
    "20 000 deep, closed": ("[" * 20_000 + "]" * 20_000, "is nested deeper than 30 levels"),
    "alias bomb": (bomb(), "aliases unfold without end or to too many values; write the values out"),
    "alias of itself": ("a: &a [*a]", "aliases unfold without end"),
    "merge of itself": ("a: &a {<<: *a}", "aliases unfold without end"),
    "alias of nobody": ("a: *b", "is not YAML"),
    "too many values": ("a: [" + "1," * 30_000 + "]", "has more than 20000 values"),
    "two documents": ("name: a\n---\nname: b\n", "is not YAML"),
    "a list": ("- name: x\n", "a scenario is a mapping of keys such as name, time and dsos"),
    "a word": ("hello", "a scenario is a mapping of keys"),
    "tabs": ("time:\n\tstep: 60 s\n", "winter.yaml:2: is not YAML"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_no_scenario(refused, case):
    content, says = FILES[case]
    assert says in refused(content)


RUN = "!!python/object/apply:os.system ['touch taken']"
TAGS = {
    "python object": ("title: !!python/object:os.system {}", "title: has the tag", "write plain values"),
    "python call": (f"title: {RUN}", "title: has the tag", "write plain values"),
    "python name": ("title: !!python/name:os.system ''", "title: has the tag", "write plain values"),
    "python module": ("title: !!python/module:antigravity ''", "title: has the tag", "write plain values"),
    "own tag": ("title: !include /etc/passwd", "title: has the tag", "write plain values"),
    "binary": ("title: !!binary aGVsbG8=", "title: has the tag", "write plain values"),
}
FIELDS = {
    **{name: ("seed: 3", f"seed: 3\n{text}", *says) for name, (text, *says) in TAGS.items()},
    "unknown at the top": ("seed: 3", "sed: 3", "winter.yaml:6 sed: is not known here", "did you mean seed?"),
    "unknown below": ("step: 60 s", "stpe: 60 s", "winter.yaml:5 time.stpe: is not known here", "did you mean step?"),
    "unknown in a list": ("count: 2", "cuont: 2", "dsos.0.interfaces.0.grids.0.cuont", "did you mean count?"),
    "missing": ("    cell: 1\n", "", "winter.yaml:9 dsos.0.cell: is missing"),
    "missing at the top": ("name: small\n", "", "name: is missing"),
    "stands twice": ("seed: 3", "seed: 3\nseed: 4", ":7 seed: stands here twice, first in line 6; remove one"),
    "text for a number": ("bus: 4", "bus: four", ":12 dsos.0.interfaces.0.bus: 'four' is not a whole number"),
    "fraction for a whole": ("bus: 4", "bus: 4.5", "'4.5' is not a whole number"),
    "number for text": ("name: small", "name: 5", "winter.yaml:1 name: '5' is not text"),
    "list for a mapping": ("trafo: {sn_mva: 700}", "trafo: [700]", "trafo: '[700]' is not a mapping of keys"),
    "mapping for a list": ("variants:", "handover: {at: 1 h}\nvariants:", "handover"),
    "yes for a number": ("bus: 4", "bus: true", "bus: 'true' is not a whole number"),
    "nan": ("sn_mva: 700", "sn_mva: .nan", "trafo.sn_mva: 'nan' is not a finite number"),
    "infinity": ("sn_mva: 700", "sn_mva: .inf", "trafo.sn_mva: 'inf' is not a finite number"),
    "infinity by its digits": ("sn_mva: 700", "sn_mva: 1e999", "trafo.sn_mva: 'inf' is not a finite number"),
    "minus infinity": ("sn_mva: 700", "sn_mva: -.inf", "trafo.sn_mva"),
    "5000 digits": ("seed: 3", "seed: " + "9" * 5000, "winter.yaml:6 seed: is a number of 5000 digits"),
    "huge seed": ("seed: 3", "seed: " + "9" * 300, "winter.yaml:6 seed: "),
    "huge count": ("count: 2", "count: 1000000000", "count: 1000000000 must be <= 2000"),
    "YAML 1.1's NO": ("name: small", "name: NO\nlimits: {v_min_pu: NO}", "limits.v_min_pu: 'NO' is not a number"),
    "sexagesimal": ("bus: 4", "bus: 1:30", "bus: '1:30' is not a whole number"),
    "sexagesimal step": ("step: 60 s", "step: 12:30:45", "time.step: '12:30:45' is not a duration", "60 s"),
    "no unit": ("step: 60 s", "step: 60", "winter.yaml:5 time.step: 60 has no unit", "write a number and its unit"),
    "step zero": ("step: 60 s", "step: 0 s", "winter.yaml:5 time.step: must be longer than 0 s"),
    "step negative": ("step: 60 s", "step: -60 s", "winter.yaml:5 time.step: '-60 s' is not a duration"),
    "step no divisor": ("step: 60 s", "step: 7 min", "time.step: 7 min does not divide the duration of the run"),
    "slot no multiple": (
        "seed: 3", "transmission: {schedule: {step: 90 s}}", "schedule.step: 90 s is not a multiple of the grid step",
    ),
    "finer than a tick": ("step: 60 s", "step: 0.0001 s", "is finer than one millisecond"),
    "duration without end": ("duration: 24 h", "duration: 99999999 d", "is longer than 366 d"),
    "end before start": ("duration: 24 h", "duration: -2 h", "winter.yaml:4 time.duration: '-2 h' is not a duration"),
    "event after the end": ('at: "15:00"', 'at: "2d 15:00"', "disturbances.0.at: '2d 15:00' is not inside the run"),
    "start without offset": ("00:00+02:00", "00:00", "winter.yaml:3 time.start: ", "offset"),
    "start that is no day": ("2016-07-20T", "2016-02-30T", "winter.yaml:3 time.start: "),
    "start out of the profiles": ("2016-07-20", "1816-07-20", "winter.yaml:3 time.start: the run lasts from 1816"),
    "no such zone": ("step: 60 s", "step: 60 s\n  zone: Europe/Atlantis", "zone: 'Europe/Atlantis' is no time zone"),
    "script for a name": ("name: small", "name: <script>alert(1)</script>", "is no name: a letter, then letters"),
    "path for a name": ("name: small", "name: ../../etc/cron.d/x", "is no name: a letter, then letters"),
    "name of 10 000": ("name: small", "name: " + "a" * 10_000, "winter.yaml:1 name: "),
    "text of 100 000": ("seed: 3", "title: " + "a" * 100_000, "winter.yaml:6 title: is too long"),
    "list as a key": ("seed: 3", "? [1, 2]\n: 3", "a key must be a word, not a list or mapping"),
    "zero byte in a path": ("seed: 3", 'profiles: "./a\\0b.csv"', "profiles: './a", "is no file name"),
    "path of 5000": ("seed: 3", "profiles: ./" + "a" * 5000, "profiles: ", "is no file name"),
    "variant of nothing": ("short: {time", "short: [time", "winter.yaml:"),
    "variant in a variant": ("short: {time", "short: {variants: {}, time", "variants.short.variants: a variant has no"),
}


@pytest.mark.parametrize("case", FIELDS)
def test_a_field_that_cannot_be(refused, small, home, case):
    old, new, *says = FIELDS[case]
    assert old in small
    said = refused(small.replace(old, new, 1))
    for part in ("winter.yaml:", *says):
        assert part in said
    assert not (home / "taken").exists()


def test_traps_of_yaml_1_1_are_read_as_written(home, small):
    from scenarios.load import load

    text = small.replace("name: small", "name: NO").replace("seed: 3", "seed: 010\ntitle: 12:30:45\ndescription: 'on'")
    (home / "a.yaml").write_text(text.replace("sn_mva: 700", "sn_mva: 1e3"))
    found = load(home / "a.yaml")
    assert (found.name, found.seed, found.title, found.description) == ("NO", 10, "12:30:45", "on")
    assert found.dsos[0].interfaces[0].trafo.sn_mva == 1000.0


def test_a_byte_order_mark_is_no_fault(home, small):
    from scenarios.load import load

    (home / "a.yaml").write_bytes(b"\xef\xbb\xbf" + small.encode())
    assert load(home / "a.yaml").name == "small"


def test_all_faults_of_a_file_come_at_once(refused, small):
    said = refused(small.replace("seed: 3", "sed: 3").replace("bus: 4", "bus: x").replace("step: 60 s", "step: 0 s"))
    assert [line.split(" ", 1)[0] for line in said.splitlines()] == [f"winter.yaml:{n}" for n in (5, 6, 12)]


@pytest.mark.parametrize("what", ["folder", "pipe", "device", "nothing", "unreadable name"])
def test_what_is_no_file_is_not_waited_for(refused, home, what):
    import os

    if what == "folder":
        (home / "winter.yaml").mkdir()
    elif what == "pipe":
        os.mkfifo(home / "winter.yaml")
    elif what == "device":
        (home / "winter.yaml").symlink_to("/dev/zero")
    name = "w" * 3000 if what == "unreadable name" else "winter.yaml"
    said = refused(None, name=name)
    says = {"folder": "is a folder", "pipe": "is no regular file", "device": "is no regular file"}
    assert says.get(what, "there is no such file") in said


def test_the_command_itself_leaves_with_2_and_one_line(fresh, home, small):
    (home / "winter.yaml").write_text(small.replace("seed: 3", "sed: 3"))
    done = fresh("-m", "gridseam", "run", "winter.yaml")
    assert done.returncode == 2
    assert done.stderr.startswith("winter.yaml:6 sed: is not known here")
    assert done.stderr.count("\n") == 1
    assert [p.name for p in home.iterdir()] == ["winter.yaml"]
