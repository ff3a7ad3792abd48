import pytest

from scenarios.document import Document, merge, parse, read, scalar
from sims.core.errors import ScenarioError


def refused(text):
    with pytest.raises(ScenarioError) as caught:
        parse(text, "a.yaml")
    return str(caught.value)


def test_values_are_those_of_yaml_1_2():
    text = "{a: 15:00, b: on, c: 012, d: 0o17, e: 1e3, f: 0x1F, g: yes, h: 2016-07-20, i: ~, j: true, k: .5, l: '7'}"
    assert parse(text, "a").data == {
        "a": "15:00", "b": "on", "c": 12, "d": 15, "e": 1000.0, "f": 31, "g": "yes", "h": "2016-07-20",
        "i": None, "j": True, "k": 0.5, "l": "7",
    }  # fmt: skip


def test_every_key_and_entry_has_its_line():
    doc = parse("# top\na:\n  b: 1\n\nc:\n  - d: 2\n  - 3\n", "x.yaml")
    assert doc.places[("a",)] == "x.yaml:2"
    assert doc.places[("a", "b")] == "x.yaml:3"
    assert doc.places[("c", 0, "d")] == "x.yaml:6"
    assert doc.places[("c", 1)] == "x.yaml:7"


def test_a_doubled_key_is_a_problem_with_both_lines():
    doc = parse("a: 1\nb: {c: 1,\n  c: 2}\na: 3\n", "x.yaml")
    assert [str(p) for p in doc.problems] == [
        "x.yaml:3 b.c: stands here twice, first in line 2; remove one",
        "x.yaml:4 a: stands here twice, first in line 1; remove one",
    ]


def test_anchors_and_merge_keys_unfold_and_keep_lines():
    doc = parse("a: &a\n  x: 1\n  y: 2\nb:\n  <<: *a\n  y: 3\n", "x.yaml")
    assert doc.data["b"] == {"x": 1, "y": 3}
    assert doc.places[("b", "x")] == "x.yaml:2"
    assert doc.places[("b", "y")] == "x.yaml:6"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1,\nb: 2", "a.yaml:2: is not YAML"),
        ("a: 'x\n", "is not YAML"),
        ("\ta: 1", "a.yaml:1: is not YAML"),
        ("a: 1\n---\nb: 2", "is not YAML"),
        ("*nobody", "is not YAML"),
        ("a: \x00", "a.yaml: is not YAML"),
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("[" * 100_000, "nested deeper than 30"),
        ("- " * 40 + "x", "nested deeper than 30"),
        ("a: &a [*a]", "aliases unfold without end"),
        ("a: &a {b: *a}", "aliases unfold without end"),
        ("[" + "1," * 200_000 + "]", "more than 20000 values"),
        ("%YAML 9.9\n---\na: 1", "is not YAML"),
    ],
)
def test_hostile_text_is_refused_in_words(text, says):
    assert says in refused(text)


def test_an_alias_bomb_is_refused_before_it_unfolds():
    levels = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    levels += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "aliases unfold" in refused("\n".join(levels))


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!mine", "!!set", "!!binary"])
def test_tags_run_and_mean_nothing(tag):
    doc = parse(f"a: {tag} 'touch x'", "a.yaml")
    assert doc.data == {"a": None}
    assert "has the tag" in str(doc.problems[0])


def test_a_number_of_thousands_of_digits_is_a_problem():
    doc = parse("a: " + "9" * 5000, "a.yaml")
    assert "number of 5000 digits" in str(doc.problems[0])


def test_a_list_as_key_is_a_problem():
    assert "a key must be a word" in str(parse("? [1, 2]\n: 3\n", "a.yaml").problems[0])


def test_other_encodings_name_the_line(write):
    with pytest.raises(ScenarioError, match=r"winter.yaml:2: is not UTF-8"):
        read(write(b"name: x\ntitle: K\xf6ln\n"))
    with pytest.raises(ScenarioError, match="is not UTF-8"):
        read(write("name: x".encode("utf-16")))


def test_a_byte_order_mark_and_windows_lines_do_no_harm(write):
    doc = read(write(b"\xef\xbb\xbfname: x\r\ntime: 1\r\n"))
    assert doc.data == {"name": "x", "time": 1}
    assert doc.places[("time",)] == "winter.yaml:2"


def test_too_large_a_file_is_not_even_read(write):
    with pytest.raises(ScenarioError, match="has 6 MB; a scenario has at most 5 MB"):
        read(write(b"#" * 6_000_000))


def test_a_folder_and_a_missing_file_are_named(tmp_path):
    with pytest.raises(ScenarioError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(ScenarioError, match="there is no such file"):
        read(tmp_path / "none.yaml")


def test_merging_goes_by_key_and_takes_lines_along():
    doc = parse("a: {b: 1, c: [1, 2]}\nv:\n  a:\n    c: [3]\n    d: 4\n", "x")
    change = doc.data["v"]
    merge(doc, change, ("v",), dict(doc.places))
    assert doc.data["a"] == {"b": 1, "c": [3], "d": 4}
    assert doc.places[("a", "c", 0)] == "x:4"
    assert ("a", "c", 1) not in doc.places
    assert doc.places[("a", "b")] == "x:1"


def test_a_change_is_copied_not_shared():
    doc = Document({"a": {}}, {})
    change = {"a": {"b": [1]}}
    merge(doc, change, (), {})
    doc.data["a"]["b"].append(2)
    assert change == {"a": {"b": [1]}}


def test_one_value_of_a_command_line_is_read_as_yaml():
    assert [scalar(t) for t in ("5", "2 h", "[a, b]", "", "a: [", "true")] == [5, "2 h", ["a", "b"], "", "a: [", True]
