"""A run that is broken off and taken up again ends as one that was not, dataset for dataset."""

import numpy as np
import pytest

from results.runfile import Run
from scenarios.checkpoint import Checkpoint, place_of
from scenarios.load import load
from scenarios.run import resume, run_pairing
from sims.core.errors import GridseamError

PAIRINGS = [
    ("local", 1), ("distributed", 4), pytest.param("centralized", 4, marks=pytest.mark.validate),
    pytest.param("centralized", 2, marks=pytest.mark.validate),
    pytest.param("distributed", 3, marks=pytest.mark.validate),
]  # fmt: skip
RUN = "run_pairing(load('small.yaml', 'twenty_minutes'), '{}', {}, Path('broken'), progress=progress)"


@pytest.mark.parametrize(("architecture", "stage"), PAIRINGS)
def test_a_killed_run_ends_like_one_that_was_not(scene, child, differing, tmp_path, architecture, stage):
    whole = run_pairing(load(scene, "twenty_minutes"), architecture, stage, tmp_path / "whole")
    broken = child(RUN.format(architecture, stage))
    broken.wait_for(900_000)  # the line has failed, the control room was dead, the power station is off
    broken.end()
    path = tmp_path / "broken" / whole.name
    with Run(path) as run:
        assert run.status == "running"
    kept = Checkpoint.read(place_of(path))
    assert kept.reached_ms in (600_000, 900_000)
    assert resume(path) == path
    assert differing(path, whole) == []
    with Run(path) as run:
        assert run.status == "complete"
        assert run.kpis
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name]


def test_it_may_be_killed_again_while_it_is_taken_up(scene, child, differing, tmp_path):
    whole = run_pairing(load(scene, "twenty_minutes"), "centralized", 2, tmp_path / "whole")
    first = child(RUN.format("centralized", 2))
    first.wait_for(360_000)
    first.end()
    path = tmp_path / "broken" / whole.name
    second = child(f"resume('broken/{whole.name}', progress=progress)")
    second.wait_for(720_000)
    second.end()
    assert Checkpoint.read(place_of(path)).reached_ms == 600_000
    resume(path)
    assert differing(path, whole) == []


@pytest.mark.parametrize(
    ("every_ms", "moves", "pairing"),
    [
        (360_500, "zoom", ("local", 4)), (362_050, "zoom", ("local", 1)), (376_001, "restoring", ("local", 1)),
        pytest.param(376_001, "restoring", ("centralized", 4), marks=pytest.mark.validate),
        pytest.param(376_001, "restoring", ("distributed", 4), marks=pytest.mark.validate),
    ],
    ids=["machines move", "and are called", "frequency moves", "the DMS calls", "agents call"],
)  # fmt: skip
def test_what_moves_between_two_grid_steps_is_taken_up_exactly(
    scene, child, differing, tmp_path, monkeypatch, every_ms, moves, pairing,
):  # fmt: skip
    change, file = {"transmission.frequency.model": "dynamic"}, f"{pairing[0]}-{pairing[1]}.h5"
    body = f"run_pairing(load('small.yaml', 'twenty_minutes', {change}), *{pairing}, Path('broken'), progress=progress)"
    broken = child(body, every_ms=every_ms)
    broken.wait_for(780_000)
    broken.end()
    path = tmp_path / "broken" / file
    kept = Checkpoint.read(place_of(path))
    assert kept.reached_ms == 2 * every_ms  # half a second, four, or half a minute, after the trip at 720 s
    monkeypatch.setattr("scenarios.resume.EVERY_MS", every_ms)
    assert resume(path) == path
    whole = run_pairing(load(scene, "twenty_minutes", change), *pairing, tmp_path / "whole")
    assert differing(path, whole) == []
    with Run(whole) as run:
        at_s = run.seconds("cell_fine")
    assert (np.diff(at_s[at_s > 2 * every_ms / 1000])[0] < 1) == (moves == "zoom")


def broken_off(scene, child, tmp_path):
    one = child(RUN.format("local", 1))
    one.wait_for(660_000)
    one.end()
    return tmp_path / "broken" / "local-1.h5"


def test_what_has_changed_since_cannot_be_taken_up(scene, child, tmp_path):
    path = broken_off(scene, child, tmp_path)
    place = place_of(path)
    kept = Checkpoint.read(place)
    Checkpoint("0" * 64, kept.folder, kept.reached_ms, kept.rows, kept.state).write(place)
    with pytest.raises(GridseamError, match=r"have changed since it was written; run it anew"):
        resume(path)
    kept.write(place)
    data = bytearray(place.read_bytes())
    data[len(data) // 2] ^= 1
    place.write_bytes(data)
    with pytest.raises(GridseamError, match=r"the checkpoint is damaged; run it anew"):
        resume(path)
    place.write_bytes(data[:100])
    with pytest.raises(GridseamError, match=r"the checkpoint is damaged; run it anew"):
        resume(path)
    place.unlink()
    with pytest.raises(GridseamError, match=r"no checkpoint to continue from"):
        resume(path)


def test_a_complete_run_is_not_taken_up(scene, tmp_path):
    brief = {"time.duration": "3 min", "disturbances": []}
    path = run_pairing(load(scene, "twenty_minutes", brief), "local", 1, tmp_path)
    with pytest.raises(GridseamError, match="the run is complete"):
        resume(path)


def test_an_interrupted_copy_leaves_the_old_file(scene, child, tmp_path, monkeypatch):
    path = broken_off(scene, child, tmp_path)
    before = path.read_bytes()

    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("scenarios.resume.carry_over", fails)
    with pytest.raises(OSError, match="No space"):
        resume(path)
    assert path.read_bytes() == before
    assert place_of(path).is_file()
    assert not path.with_suffix(".resuming.h5").exists()
