import ast
import json
from pathlib import Path

import pytest

import gridseam as gs

HEAVY = ("pandapower", "mosaik", "h5py", "xarray", "matplotlib", "numba", "pandas", "scipy", "numpy")


@pytest.mark.parametrize("module", ["gridseam", "gridseam.cli"])
def test_importing_loads_nothing_heavy(python, module):
    code = f"import {module}, sys, json; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    done = python("-c", code)
    assert json.loads(done.stdout) == [], done.stderr


def test_everything_offered_is_there():
    for name in gs.__all__:
        assert getattr(gs, name) is not None, name


def test_what_type_checkers_see_is_what_is_offered():
    tree = ast.parse(Path(gs.__file__).read_text())
    seen = {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    } | {"open"}
    assert seen == set(gs.__all__) - {"__version__"}


def test_what_is_not_offered_is_said():
    with pytest.raises(AttributeError, match="gridseam has no 'laod'; it has Controller"):
        _ = gs.laod


def test_the_version_is_that_of_the_package():
    import tomllib

    project = tomllib.loads((Path(gs.__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert gs.__version__ == project["version"]
