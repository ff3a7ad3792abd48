"""gridseam: compare control architectures and DSO responsibility stages on one coupled power system.

>>> import gridseam as gs
>>> scenario = gs.load("three_cells", variant="two_hours")
>>> run = gs.run(scenario, architecture="distributed", stage=3)  # doctest: +SKIP
>>> run["bus"].v_pu.max("time")  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gridseam import shadow

shadow.check()

__version__ = "0.1.0"

_WHERE = {
    "load": "scenarios.load:load",
    "Scenario": "scenarios.schema:Scenario",
    "run": "gridseam.study:run",
    "compare": "gridseam.study:compare",
    "vary": "gridseam.variation:vary",
    "export": "results.export:export",
    "diff": "results.difference:diff",
    "repair": "results.repair:repair",
    "read": "scenarios.brought:read",
    "split": "sims.grid.partition:split",
    "attach": "sims.grid.partition:attach",
    "join": "sims.grid.partition:join",
    "CoupledPowerFlow": "sims.grid.coupled:CoupledPowerFlow",
    "open": "results.runfile:Run",
    "Run": "results.runfile:Run",
    "Site": "controllers.contract:Site",
    "Controller": "controllers.contract:Controller",
    "check_controller": "controllers.checks:check_controller",
    "command": "controllers.contract:command",
    "small_belief": "controllers.specimen:small_belief",
    "Message": "sims.core.message:Message",
    "GridseamError": "sims.core.errors:GridseamError",
    "ScenarioError": "sims.core.errors:ScenarioError",
}
"""What a user imports, and where it lives; imported on first use, because pandapower alone takes seconds."""

if TYPE_CHECKING:
    from controllers.checks import check_controller as check_controller
    from controllers.contract import Controller as Controller
    from controllers.contract import Site as Site
    from controllers.contract import command as command
    from controllers.specimen import small_belief as small_belief
    from gridseam.study import compare as compare
    from gridseam.study import run as run
    from gridseam.variation import vary as vary
    from results.difference import diff as diff
    from results.export import export as export
    from results.repair import repair as repair
    from results.runfile import Run as Run
    from scenarios.brought import read as read
    from scenarios.load import load as load
    from scenarios.schema import Scenario as Scenario
    from sims.core.errors import GridseamError as GridseamError
    from sims.core.errors import ScenarioError as ScenarioError
    from sims.core.message import Message as Message
    from sims.grid.coupled import CoupledPowerFlow as CoupledPowerFlow
    from sims.grid.partition import attach as attach
    from sims.grid.partition import join as join
    from sims.grid.partition import split as split

    open = Run  # noqa: A001  gs.open reads like the builtin

__all__ = [*sorted(_WHERE), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"gridseam has no '{name}'; it has {', '.join(sorted(_WHERE))}")
    module, _, attribute = _WHERE[name].partition(":")
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
