"""What the command line says about studies and failures, and the exit codes it leaves with."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gridseam.study import Study
    from gridseam.suite import Result
    from gridseam.variation import Variation
    from scenarios.matrix import Outcome

OK, MISSED, BAD_INPUT, FAILED, CANCELLED = 0, 1, 2, 3, 130
DIFFERENT = 1


def show(done: Study | Variation) -> None:
    """Print the key figures of a study, or of every point of a variation, and where the files are."""
    from gridseam.variation import Variation, label_of

    if isinstance(done, Variation):
        for values, study in done.points:
            _print(label_of(values))
            show(study)
        _print_paths(done.cube, done.table, done.workbook)
        return
    if done.comparison is None:
        return
    from results.compare import HEADLINES, terminal_table
    from results.paired import difference_table

    _print(terminal_table(done.comparison))
    if done.differences is not None:
        _print(difference_table(done.differences, HEADLINES))
    _print_paths(done.cube, done.table, done.workbook, done.report)


def show_suite(results: Sequence[Result]) -> None:
    """Print a line for each expectation, and the count."""
    told = missed = 0
    for result in results:
        _print(result.case.name)
        verdicts = {verdict.check: verdict for verdict in result.verdicts}
        for check in result.case.checks:
            told += 1
            verdict = verdicts.get(check)
            if verdict is None:
                _print(f"  no verdict  {check.name}: its run failed")
                continue
            missed += not verdict.passed
            _print(f"  {'as expected' if verdict.passed else 'MISSED     '} {check.name}: {verdict.text}")
    lost = sum(len(r.case.checks) - len(r.verdicts) for r in results)
    without = f", {lost} without a verdict" if lost else ""
    _print(f"{told - missed - lost} of {told} expectations met{without}")


def _print(what: object) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    console.print(what, highlight=False, markup=False, soft_wrap=isinstance(what, str))


def _print_paths(*paths: object) -> None:
    for path in paths:
        if path is not None:
            _print(str(path))


def tell_failures(failed: Sequence[Outcome]) -> int:
    """Say what went wrong, each cause once; return the exit code."""
    by_error: dict[str, list[Outcome]] = {}
    for outcome in failed:
        by_error.setdefault(outcome.error, []).append(outcome)
    for error, alike in by_error.items():
        sys.stderr.write(f"{'; '.join(outcome.job.label for outcome in alike)}: {error}\n")
        first = alike[0]
        if first.trace and not first.refused:
            first.job.out.mkdir(parents=True, exist_ok=True)
            log = first.job.out / f"{first.job.architecture}-{first.job.stage}.failure.txt"
            log.write_text(first.trace, encoding="utf-8")
            sys.stderr.write(f"  details in {log}\n")
    return BAD_INPUT if all(outcome.refused for outcome in failed) else FAILED
