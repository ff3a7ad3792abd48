"""What controllers remember: their attributes, random streams and what a place has in common, as copies and by name."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from controllers.contract import Controller, Site
from controllers.isolation import Isolated


class Memory:
    """All that some sites and their controllers keep from one decision to the next.

    What several controllers of one place have in common stays one thing in a copy, too. Who is isolated remembers
    elsewhere, and tells it as bytes.
    """

    def __init__(self, seated: Sequence[tuple[Site, Controller]]) -> None:
        self._seated = seated

    def get_state(self) -> list[dict[str, Any]]:
        """Return attributes, random stream and common things of each, all as copies."""
        memos = self._memos()
        return [
            {"isolated": controller.get_state()} if isinstance(controller, Isolated) else {
                "rng": site.rng.bit_generator.state,
                "controller": _copied(vars(controller), memos[site.name]),
                "desk": _copied(_desk(site), memos[site.name]),
            }
            for site, controller in self._seated
        ]  # fmt: skip

    def set_state(self, state: Sequence[dict[str, Any]]) -> None:
        """Continue from `get_state`; the state itself stays as it is."""
        memos = self._memos()
        for (site, controller), kept in zip(self._seated, state, strict=True):
            if isinstance(controller, Isolated):
                controller.set_state(kept["isolated"])
                continue
            site.rng.bit_generator.state = kept["rng"]
            vars(controller).update(_copied(kept["controller"], memos[site.name]))
            desk = _copied(kept["desk"], memos[site.name])
            _desk(site).clear()
            _desk(site).update(desk)

    @property
    def fixed(self) -> dict[str, Any]:
        """What a restart builds anyway, by name: sites and what they believe."""
        found: dict[str, Any] = {}
        for i, (site, _) in enumerate(self._seated):
            named = {"site": site, "grid": site.grid, "rng": site.rng, "settings": site.settings}
            for f, feeder in enumerate(site.grid.feeders):
                named |= {f"feeder{f}": feeder, f"net{f}": feeder.grid, f"devices{f}": feeder.devices}
                named |= {f"net{f}.{name}": value for name, value in vars(feeder.grid).items() if _large(value)}
                named |= {f"devices{f}.{name}": value for name, value in vars(feeder.devices).items() if _large(value)}
            found |= {f"{i}:{site.name}/{name}": thing for name, thing in named.items()}
        return found

    def _memos(self) -> dict[str, dict[int, Any]]:
        """Return for each place what is not copied with its controllers: its sites and what these believe."""
        memos: dict[str, dict[int, Any]] = {site.name: {} for site, _ in self._seated}
        for site, _ in self._seated:
            fixed = [site, site.grid, site.rng, *site.grid.feeders, *(f.grid for f in site.grid.feeders)]
            memos[site.name].update((id(thing), thing) for thing in fixed)
        return memos


def _large(value: Any) -> bool:
    """Tell whether a part of a grid is a thing of its own, which others may refer to."""
    return callable(value) or (isinstance(value, np.ndarray | tuple) and len(value) > 0)


def _desk(site: Site) -> dict[str, Any]:
    """Return what the controllers of a place have in common, apart from their own attributes."""
    desk = site.settings.get("shared")
    return desk if isinstance(desk, dict) else {}


def _copied(attributes: dict[str, Any], memo: dict[int, Any]) -> dict[str, Any]:
    """Return a deep copy of a controller's attributes but for its site; `memo` knows what has been copied."""
    attributes = {name: value for name, value in attributes.items() if not isinstance(value, Site)}
    return copy.deepcopy(attributes, memo)
