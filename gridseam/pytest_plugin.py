"""Scenarios as pytest items: one for each expectation on each pairing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from gridseam.suite import Case, Result
    from scenarios.judgement import Check

_EXPECTS = re.compile(r"^expect\s*:", re.MULTILINE)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of suites."""
    group = parser.getgroup("gridseam", "gridseam scenarios")
    group.addoption("--gridseam-out", metavar="DIR", help="Folder for run files. [default: pytest's cache]")
    group.addoption("--gridseam-jobs", metavar="N", type=int, help="Worker processes. [default: all processors]")
    group.addoption("--gridseam-shard", metavar="I/N", help="Only the I-th of N parts of each scenario's expectations.")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.File | None:
    """Collect YAML files that hold a section `expect`; others are left alone."""
    if file_path.suffix not in (".yaml", ".yml"):
        return None
    try:
        text = file_path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return ScenarioFile.from_parent(parent, path=file_path) if _EXPECTS.search(text) else None


class ScenarioFile(pytest.File):
    """One scenario; its runs are made when the first of its items runs, finished ones are kept."""

    _result: Result | None = None
    _case: Case

    def collect(self) -> Iterator[pytest.Item]:
        """Yield an item for each expectation on each pairing."""
        from gridseam.suite import case_of
        from scenarios.shard import Shard
        from sims.core.errors import GridseamError

        shard = self.config.getoption("--gridseam-shard")
        try:
            self._case = case_of(self.path)
            asked = Shard.read(shard).of_these(self._case.checks) if shard else self._case.checks
        except GridseamError as err:
            raise self.CollectError(str(err)) from err
        for check in asked:
            yield ExpectationItem.from_parent(self, name=check.name, check=check)

    def result(self) -> Result:
        """Return how the scenario ended, running it the first time."""
        from gridseam.suite import run_suite

        if self._result is None:
            given = self.config.getoption("--gridseam-out")
            cache = self.config.cache
            out = Path(given) if given or cache is None else cache.mkdir("gridseam")
            mine = [i.check for i in self.session.items if isinstance(i, ExpectationItem) and i.parent is self]
            case = type(self._case)(self._case.path, self._case.scenario, tuple(mine))
            jobs = self.config.getoption("--gridseam-jobs")
            self._result = run_suite([case], out, workers=jobs, resume=True)[0]
        return self._result


class ExpectationMissed(Exception):  # noqa: N818  told to people
    """A key figure is not as expected, or its run failed."""


class ExpectationItem(pytest.Item):
    """One expectation on one pairing."""

    def __init__(self, *, check: Check, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.check = check

    def runtest(self) -> None:
        """Judge the check."""
        parent = self.parent
        assert isinstance(parent, ScenarioFile)
        result = parent.result()
        failed = result.failure(self.check)
        if failed is not None:
            raise ExpectationMissed(f"{failed.job.label}: {failed.error}")
        verdict = next(v for v in result.verdicts if v.check == self.check)
        if not verdict.passed:
            raise ExpectationMissed(verdict.text)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Say what was missed in a line; other failures with their trace."""
        if isinstance(excinfo.value, ExpectationMissed):
            return f"{self.check.name}: {excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return where the item stands."""
        return self.path, None, self.name
