"""One key figure, and how a user adds one of their own."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from results.runfile import Run
from sims.core.errors import Problem, ScenarioError, nearest

Better = Literal["lower", "higher", "none"]


@dataclass(frozen=True)
class Kpi:
    """One key figure.

    Parameters
    ----------
    name : str
        As in tables and files.
    label : str
        As in headings.
    topic : str
        Under which heading it stands.
    definition : str
        What is counted, in a sentence.
    source : str
        Standard or paper that defines it; ``gridseam`` where it is defined here.
    function : callable
        Run -> number; NaN where the run does not hold what it needs.
    better : str
        ``lower``, ``higher`` or ``none``.
    """

    name: str
    label: str
    topic: str
    unit: str
    definition: str
    source: str
    function: Callable[[Run], float]
    better: Better = "lower"


def own_kpi(reference: str, folder: Path | str = ".") -> Kpi:
    """Return a user's own key figure from ``./file.py:function``.

    The function takes a Run and returns a number. Its docstring's first line becomes the definition; its
    attributes ``unit``, ``label`` and ``better`` are taken where it has them.

    Raises
    ------
    ScenarioError
        The reference has another form, or names no file or no function.
    """
    file, _, name = reference.rpartition(":")
    path = Path(folder, file)

    def refuse(text: str) -> ScenarioError:
        return ScenarioError([Problem("kpi", reference, text)])

    if not file.endswith(".py") or not name.isidentifier():
        raise refuse("write it as ./file.py:function")
    if not path.is_file():
        raise refuse(f"no such file: {path}")
    spec = importlib.util.spec_from_file_location(f"own_kpi_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise refuse(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as err:
        raise refuse(f"{path} fails on import: {type(err).__name__}: {err}") from err
    function = getattr(module, name, None)
    if not callable(function):
        offered = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise refuse(f"{path} has no function '{name}'{nearest(name, offered)}")
    better: Better = getattr(function, "better", "none")
    if better not in get_args(Better):
        raise refuse(f"better is '{better}'; one of {', '.join(get_args(Better))}")
    definition: str = (function.__doc__ or name).strip().splitlines()[0]
    label, unit = getattr(function, "label", name.replace("_", " ")), getattr(function, "unit", "1")
    return Kpi(name, str(label), "Own", str(unit), definition, reference, function, better)
