"""A controller that an installed package offers is named by its entry point alone."""

import sys

import pytest

from controllers.checks import check_controller
from controllers.loading import load_class
from sims.core.errors import ScenarioError

SOURCE = '''\
class Quiet:
    urgent = frozenset()

    def __init__(self, site):
        self.site = site

    def decide(self, now_s, inbox):
        return []
'''


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package as pip leaves it: a module, and metadata beside it."""
    (tmp_path / "some_research.py").write_text(SOURCE)
    metadata = tmp_path / "some_research-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: some-research\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[gridseam.controllers]\nquiet_night = some_research:Quiet\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("some_research", None)


def test_it_is_found_by_its_name_and_keeps_the_contract(installed):
    found = load_class("quiet_night", installed)
    assert (found.__module__, found.__name__) == ("some_research", "Quiet")
    check_controller("quiet_night", beside=installed)


def test_a_name_that_is_nearly_right_is_told(installed):
    with pytest.raises(ScenarioError, match="did you mean quiet_night"):
        load_class("quiet_nigt", installed)
