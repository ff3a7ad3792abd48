import sys

import pytest

from scenarios.reference import fault


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import os\nfrom x import Borrowed\nAlias = os\nclass Mine: ...\nclass Other: ...\n"
    )
    (tmp_path / "broken.py").write_text("class Mine:\n  def (\n")
    (tmp_path / "empty.py").write_text("")
    package = tmp_path / "userpack"
    (package / "sub").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "ctrl.py").write_text("class Deep: ...")
    (package / "sub" / "__init__.py").write_text("class Deeper: ...")
    return tmp_path


@pytest.mark.parametrize(
    "reference", ["./mine.py:Mine", "mine.py:Other", "./mine.py:Borrowed", "./mine.py:Alias", "userpack/ctrl.py:Deep"]
)
def test_a_class_in_a_file_is_found(folder, reference):
    assert fault(reference, folder) == ""


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("./mine.py:Mein", "there is no class 'Mein' in mine.py; it has Mine, Other (did you mean Mine?)"),
        ("./empty.py:Mine", "there is no class 'Mine' in empty.py; it defines no class"),
        ("./broken.py:Mine", "broken.py:2 is not Python: invalid syntax"),
        ("./none.py:Mine", "there is no file './none.py' beside the scenario (did you mean mine.py?)"),
        ("./mine.py:", "'' is not the name of a class: write ./file.py:Class or package.module:Class"),
        ("./mine.py", "'./mine.py' names no controller: write ./file.py:Class or package.module:Class"),
        ("./m.txt:Mine", "'./m.txt' is neither a .py file nor a module: write ./file.py:Class or package.module:Class"),
        ("no_such_package.x:Mine", "there is no module 'no_such_package' in this Python environment"),
    ],
)
def test_anything_else_is_said(folder, reference, says):
    assert fault(reference, folder) == says


def test_a_module_is_found_without_importing_its_package(folder, monkeypatch):
    monkeypatch.syspath_prepend(str(folder))
    assert fault("userpack.ctrl:Deep", folder) == ""
    assert fault("userpack.sub:Deeper", folder) == ""
    assert fault("userpack.none:Deep", folder) == "there is no module 'userpack.none': 'none' is missing"
    assert fault("userpack.ctrl:Dep", folder).endswith("it has Deep (did you mean Deep?)")
    assert "userpack" not in sys.modules


def test_a_built_in_module_holds_no_controller(folder):
    assert "not a Python file" in fault("sys:Mine", folder)
