import pytest

from controllers.loading import load_class
from sims.core.errors import ScenarioError

SOURCE = "class Mine:\n    urgent = frozenset()\n\nclass Other:\n    pass\n"


def test_a_class_beside_the_scenario(tmp_path):
    (tmp_path / "mine.py").write_text(SOURCE)
    assert load_class("./mine.py:Mine", tmp_path).__name__ == "Mine"


def test_two_files_of_one_name_do_not_meet(tmp_path):
    for folder, value in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(f"class Mine:\n    value = {value}\n")
    first = load_class("./mine.py:Mine", tmp_path / "a")
    assert load_class("./mine.py:Mine", tmp_path / "b").value == 2
    assert first.value == 1


def test_a_class_in_a_package(tmp_path):
    assert load_class("controllers.tso.afrr:Afrr", tmp_path).__name__ == "Afrr"


@pytest.mark.parametrize(("reference", "text"), [
    ("./mine.py:Mne", "did you mean Mine"),
    ("./yours.py:Mine", "there is no file yours.py beside the scenario"),
    ("./broken.py:Mine", "fails to load: ZeroDivisionError"),
    ("./typo.py:Mine", "fails to load: SyntaxError"),
    ("no_such_package.x:Mine", "fails to load: ModuleNotFoundError"),
    ("controllers.tso.afrr:Affr", "did you mean Afrr"),
    ("nonsense", "no entry point of gridseam.controllers"),
])
def test_what_cannot_be_loaded_is_named(tmp_path, reference, text):
    (tmp_path / "mine.py").write_text(SOURCE)
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "typo.py").write_text("class Mine\n")
    with pytest.raises(ScenarioError, match=text):
        load_class(reference, tmp_path)


def test_a_package_that_breaks_while_loading_is_named(tmp_path, monkeypatch):
    (tmp_path / "breaks_on_import.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ScenarioError, match="ZeroDivisionError"):
        load_class("breaks_on_import:Mine", tmp_path)


def test_what_is_no_class_is_refused(tmp_path):
    (tmp_path / "mine.py").write_text("Mine = 3\nclass Main:\n    pass\n")
    with pytest.raises(ScenarioError, match="Mine"):
        load_class("./mine.py:Mine", tmp_path)
