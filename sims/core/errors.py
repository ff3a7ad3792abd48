"""What can go wrong, and where: one family of errors that each name a place and a remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class GridseamError(Exception):
    """Base of every error gridseam raises on purpose; its text is meant for the user."""


@dataclass(frozen=True)
class Problem:
    """One fault in an input: where it stands, what is wrong, what would be right.

    Parameters
    ----------
    where : str
        File and line (``winter.yaml:14``), or the net, element and index at fault.
    field : str
        Dotted path of the field, empty where there is none.
    text : str
        What is wrong, with the allowed values and the nearest valid name.
    """

    where: str
    field: str
    text: str

    def __str__(self) -> str:
        return f"{self.where} {self.field}: {self.text}" if self.field else f"{self.where}: {self.text}"


class ScenarioError(GridseamError):
    """The input is refused; every problem found is listed at once."""

    def __init__(self, problems: Sequence[Problem] | str) -> None:
        self.problems: tuple[Problem, ...] = (
            (Problem("scenario", "", problems),) if isinstance(problems, str) else tuple(problems)
        )
        super().__init__("\n".join(str(p) for p in self.problems))

    def __reduce__(self) -> tuple[type[ScenarioError], tuple[tuple[Problem, ...]]]:
        return (ScenarioError, (self.problems,))


class GridError(GridseamError):
    """A net cannot be compiled or solved; names the net, the element and its index."""


class ModelError(GridseamError):
    """A simulator failed or handed over an impossible value; names the simulator and the time."""

    def __init__(self, model: str, t_ms: int, text: str) -> None:
        self.model, self.t_ms, self.text = model, t_ms, text
        super().__init__(f"{model} at {t_ms / 1000:.3f} s: {text}")

    def __reduce__(self) -> tuple[type[ModelError], tuple[str, int, str]]:
        return (type(self), (self.model, self.t_ms, self.text))


class ControllerError(ModelError):
    """A controller failed or broke its contract; names the site and the time."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return `` (did you mean X?)`` for the closest of `valid`, or an empty string."""
    found = difflib.get_close_matches(str(name), [str(v) for v in valid], n=1, cutoff=0.5)
    return f" (did you mean {found[0]}?)" if found else ""
