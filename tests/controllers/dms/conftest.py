"""The DSO of the centralized tests serves the DMS functions too."""

import importlib.util
import sys
from pathlib import Path

import pytest

_path = Path(__file__).parents[1] / "centralized" / "conftest.py"
_spec = importlib.util.spec_from_file_location("centralized_kit", _path)
_module = importlib.util.module_from_spec(_spec)
sys.modules["centralized_kit"] = _module
_spec.loader.exec_module(_module)


@pytest.fixture
def kit():
    return _module.Kit
