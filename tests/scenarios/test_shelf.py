import io
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from scenarios import shelf

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Leaf:
    z: np.ndarray
    side: str


@dataclass(frozen=True)
class Tree:
    leaves: tuple[Leaf, ...]
    number: dict[int, float]
    shape: list[bool]
    texts: np.ndarray
    grow: object = None


KINDS = (Tree, Leaf)


def tree(x=1.0):
    """A thing with all that can be kept, nan and infinity among it."""
    leaves = (Leaf(np.array([[x, np.nan], [0.1 + 0.2, np.inf]]), "hv"), Leaf(np.array([1 + 2j, -3j]), "lv"))
    return Tree(leaves, {7: x, -1: np.pi}, [True, False], np.array(["line", "trafo"]), lambda: x)


@pytest.fixture
def at(tmp_path, monkeypatch):
    """An empty folder to keep things in."""
    monkeypatch.setenv(shelf.FOLDER, str(tmp_path / "kept"))
    return tmp_path / "kept"


class Maker:
    """Counts how often it had to make the thing."""

    def __init__(self, x=1.0):
        self.x, self.made = x, 0

    def __call__(self):
        self.made += 1
        return tree(self.x)


def take(make, *inputs):
    return shelf.kept("tree", inputs or ("oak",), make, KINDS)


def is_tree(found, x=1.0):
    want = tree(x)
    for leaf, other in zip(found.leaves, want.leaves, strict=True):
        np.testing.assert_array_equal(leaf.z, other.z)
        assert leaf.z.dtype == other.z.dtype
        assert leaf.side == other.side
    assert (found.number, found.shape, found.grow) == (want.number, want.shape, None)
    assert found.texts.tolist() == ["line", "trafo"]


def test_a_thing_is_made_once_and_then_found(at):
    make = Maker()
    for _ in range(3):
        is_tree(take(make))
    assert make.made == 1
    assert [p.suffix for p in at.iterdir()] == [".kept"], "nothing half-written stays behind"


def test_another_input_is_another_thing(at):
    one, other = Maker(1.0), Maker(2.0)
    is_tree(take(one, "oak", b"file"), 1.0)
    is_tree(take(other, "oak", b"file!"), 2.0)
    is_tree(take(other, "oakf", b"ile"), 2.0)
    is_tree(take(one, "oak", b"file"), 1.0)
    assert (one.made, other.made) == (1, 2)


def test_other_code_or_another_library_is_another_thing(at, monkeypatch):
    make = Maker()
    take(make)
    monkeypatch.setattr(shelf, "_code", lambda: b"edited")
    take(make)
    assert make.made == 2


@pytest.mark.parametrize("keep", [0, 1, 30, 0.5, -1])
def test_a_file_written_by_half_is_ignored_and_replaced(at, keep):
    make = Maker()
    take(make)
    file = next(at.iterdir())
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * keep)] if keep == 0.5 else whole[:keep])
    is_tree(take(make))
    assert make.made == 2
    assert file.read_bytes() == whole
    is_tree(take(make))
    assert make.made == 2


def test_a_byte_that_has_changed_is_seen(at):
    make = Maker()
    take(make)
    file = next(at.iterdir())
    whole = file.read_bytes()
    for place in range(0, len(whole), 5):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        is_tree(take(make))
    assert make.made == 1 + len(range(0, len(whole), 5))


def test_what_names_code_or_pickles_is_not_followed(at):
    make = Maker()
    take(make)
    file = next(at.iterdir())
    for tree in (np.array(json.dumps(["Popen", {"args": "true"}])), np.array([object()], dtype=object)):
        np.savez(archive := io.BytesIO(), tree=tree, allow_pickle=True)
        file.write_bytes(shelf._sum(archive.getvalue()) + archive.getvalue())
        is_tree(take(make))
    assert make.made == 3


def test_many_at_once_read_and_write_whole_files_only(at):
    def once(k):
        file = next(at.glob("*.kept"), None)
        if k % 5 == 0 and file is not None:
            file.unlink(missing_ok=True)
        is_tree(take(Maker()))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(once, range(200)))
    assert [p.suffix for p in at.iterdir()] == [".kept"]


def test_two_processes_at_once_agree(at):
    text = (
        "import hashlib; from scenarios.catalogue import compiled; g = compiled('cigre_mv'); "
        "print(hashlib.sha256(g.y_raw.tobytes()).hexdigest())"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", text], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = {p.communicate()[0] for p in both}
    assert [p.returncode for p in both] == [0, 0]
    assert len(said) == 1
    assert len(list(at.iterdir())) == 1


def test_old_things_make_room(at, monkeypatch):
    monkeypatch.setattr(shelf, "MOST_FILES", 3)
    for k in range(5):
        take(Maker(), f"{k}")
        newest = max(at.iterdir(), key=lambda p: p.stat().st_mtime_ns)
        os.utime(newest, (1000 + k, 1000 + k))
    assert len(list(at.iterdir())) == 3
    make = Maker()
    take(make, "4")
    assert make.made == 0


@pytest.mark.parametrize("word", ["off", "OFF", "0"])
def test_it_can_be_switched_off(tmp_path, monkeypatch, word):
    monkeypatch.setenv(shelf.FOLDER, word)
    monkeypatch.chdir(tmp_path)
    make = Maker()
    is_tree(take(make))
    is_tree(take(make))
    assert make.made == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="permissions as POSIX has them")
def test_a_folder_that_others_may_write_to_is_not_used(at):
    at.mkdir()
    at.chmod(0o777)
    make = Maker()
    is_tree(take(make))
    is_tree(take(make))
    assert make.made == 2
    assert not list(at.iterdir())


def test_a_folder_that_cannot_be_made_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(shelf.FOLDER, str(tmp_path / "file" / "kept"))
    make = Maker()
    is_tree(take(make))
    assert make.made == 1


def test_the_folder_is_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.delenv(shelf.FOLDER, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert shelf.folder() == tmp_path / "gridseam"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert shelf.folder() == tmp_path / "home" / ".cache" / "gridseam"


def test_what_cannot_be_made_says_so(at):
    def fails():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        take(fails)
    assert not list(at.iterdir())
