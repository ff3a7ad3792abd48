"""A state comes back as it was, and brings no code along."""

import json
import pickle
from pickle import Pickler

import pytest

from sims.core.errors import GridseamError
from sims.core.packing import packed, unpacked


class Payload:
    def __reduce__(self):
        return eval, ("open('taken', 'w')",)


@pytest.mark.parametrize("thing", [Payload(), json.loads, pytest.raises, Pickler])
def test_a_checkpoint_cannot_bring_code(thing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GridseamError, match="which no checkpoint needs"):
        unpacked(pickle.dumps({"state": thing}), {})
    assert not list(tmp_path.iterdir())


def test_things_that_a_restart_builds_are_named():
    grid, other = [1, 2], [3]
    data = packed({"grid": grid, "n": 1}, {"the grid": grid})
    assert unpacked(data, {"the grid": other})["grid"] is other
    with pytest.raises(GridseamError, match="names 'the grid', which this run does not have"):
        unpacked(data, {})
