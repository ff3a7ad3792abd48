"""The distribution grids a scenario can name, as arrays."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from scenarios import formats
from scenarios.shelf import kept
from sims.grid.compiled import CompiledNet, Elements, Switches, TapTable

KINDS = (CompiledNet, Elements, Switches, TapTable)
"""What a compiled grid is made of."""


@cache
def compiled(name: str, folder: Path | None = None) -> CompiledNet:
    """Return the grid called `name` as arrays, all its infeeds on one busbar; compiled once and then kept.

    Parameters
    ----------
    name : str
        One of `scenarios.nets.GRIDS`, a file in `folder`, or a SimBench code; see `scenarios.brought.read`.

    Raises
    ------
    GridError
        The file is no net, names code from outside pandapower, or a package is missing that reads it.
    """
    inputs = [name.encode()]
    if formats.is_file(name):
        inputs.append(_content((folder or Path()) / name))

    def fresh() -> CompiledNet:
        from scenarios.nets import net  # with it comes pandapower, which takes seconds to load

        return CompiledNet.from_net(net(name, folder), name, merge_roots=True)

    # The net behind the arrays is built only where somebody asks for it: an export, a solver's last resort.
    return replace(kept("grid", inputs, fresh, KINDS), origin=cache(lambda: fresh().net))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # whoever reads it says what is wrong
