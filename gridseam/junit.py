"""The verdicts of a suite as JUnit XML, which every CI server shows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as Xml

from gridseam.suite import Result
from sims.core.errors import GridseamError

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
"""What XML 1.0 has no way to write."""


def write_junit(results: Sequence[Result], path: str | Path) -> Path:
    """Write a test suite for each scenario and a test case for each expectation; return the path.

    An expectation that was missed is a failure, one whose run failed is an error.
    """
    root = Xml.Element("testsuites", name="gridseam")
    for result in results:
        case = result.case
        without = {check: failed for check in case.checks if (failed := result.failure(check)) is not None}
        suite = Xml.SubElement(
            root, "testsuite", name=_text(case.name), tests=str(len(case.checks)),
            failures=str(len(result.missed)), errors=str(len(without)), time=f"{result.wall_s:.3f}",
            file=_text(str(case.path)),
        )  # fmt: skip
        told = {verdict.check: verdict for verdict in result.verdicts}
        for check in case.checks:
            item = Xml.SubElement(suite, "testcase", classname=_text(case.name), name=_text(check.name), time="0")
            if check in without:
                error = Xml.SubElement(item, "error", type="run", message=_text(without[check].error))
                error.text = _text(without[check].trace)
            elif not told[check].passed:
                Xml.SubElement(item, "failure", type="expectation", message=_text(told[check].text))
            else:
                Xml.SubElement(item, "system-out").text = _text(told[check].text)
    out = Path(path)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        Xml.ElementTree(root).write(out, encoding="utf-8", xml_declaration=True)
    except OSError as err:
        raise GridseamError(f"cannot write {out}: {err}") from err
    return out


def _text(text: str) -> str:
    return _FORBIDDEN.sub("?", text)
