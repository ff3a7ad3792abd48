"""Observe: keeps the picture of the grid and writes it into the logbook."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controllers.centralized.desk import Desk
from controllers.contract import Site
from controllers.dms.readings import Board
from controllers.logbook import LOGBOOK
from sims.core.message import Message
from sims.core.ports import frozen


class Observe:
    """Estimates every feeder of the DSO once a period and reports what it believes.

    Settings: `estimation_ms`, `estimation_offset_ms`, `v_sigma`, `p_sigma` (see `BelievedState`).
    """

    urgent: frozenset[str] = frozenset()

    def __init__(self, site: Site) -> None:
        self._site = site
        self._desk = Desk(site)
        self._reported: dict[str, int] = {}

    @property
    def reads(self) -> frozenset[str]:
        """Topics that the host hands over."""
        return self._desk.mail()

    @property
    def board(self) -> Board | None:
        """Where the host puts substations' frames up."""
        return self._desk.board

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Report feeders estimated since the last call; nothing where no telemetry has come."""
        now_ms = self._desk.read(now_s, inbox)
        out: list[Message] = []
        for name, picture in zip(self._desk.state.files, self._desk.state.pictures(now_ms), strict=True):
            if picture is None or self._reported.get(name) == picture.at_ms:
                continue
            self._reported[name] = picture.at_ms
            values = {"feeder": name, "v_pu": frozen(np.where(np.isnan(picture.v_pu), 0.0, picture.v_pu))}
            out.append(Message(self._site.name, LOGBOOK, "estimate", values))
        return out
