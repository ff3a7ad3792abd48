"""What has been measured in an area: one picture, which all duties of the place look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import NamedTuple, Protocol

from controllers.contract import Site
from controllers.distributed.area import Area, number
from controllers.distributed.book import shared
from controllers.distributed.extremes import Extremes
from controllers.distributed.wall import Wall
from sims.core.message import Message


class Frame(NamedTuple):
    """What a secondary substation told last of a node: voltage, power into the grid, of it that of DER, and theirs."""

    sender: str
    node: int
    v_pu: float
    p_mw: float
    q_mvar: float
    avail_mw: float
    der_mw: float


_told = itemgetter("v_pu", "p_mw", "q_mvar", "der_avail_mw", "der_mw")


class Watcher(Protocol):
    """Takes each measurement of the primary and the secondary substations as it is looked at."""

    def primary(self, message: Message) -> None:
        """Take the primary substation's frame."""
        ...

    def frame(self, frame: Frame) -> None:
        """Take a secondary substation's frame."""
        ...


class Picture:
    """The newest measurements of an area: its own substation's, the primary substation's, each node's frame.

    It is the board of its place (see `contract.Controller`): measurements are put up once, and whoever decides
    next looks at what is new, for all.

    Attributes
    ----------
    topics, mail
        What is put up here, and what nobody has looked at yet.
    volts : Extremes
    own, primary : Message or None
    frames : dict of int to Frame
        By node, the newest last.
    count : int
        Frames taken so far.
    wall, place
        Where it hangs beside the pictures of other areas, if it does.
    """

    topics = frozenset({"own", "secondary", "primary"})

    def __init__(self, area: Area) -> None:
        self.mail: list[Message] = []
        self.volts = Extremes(area)
        self.own: Message | None = None
        self.primary: Message | None = None
        self.frames: dict[int, Frame] = {}
        self.count = 0
        self.watchers: list[Watcher] = []
        self.wall: Wall | None = None
        self.place = -1

    def look(self, inbox: Sequence[Message] = ()) -> None:
        """Take in what has been put up since the last look, and what of it came with the own mail, as it arrived."""
        if self.mail:
            self._take(self.mail)
            self.mail.clear()
        if inbox:
            self._take([message for message in inbox if message.topic in self.topics])

    def _take(self, mail: Sequence[Message]) -> None:
        newest: Message | None = None
        for message in mail:
            topic = message.topic
            if topic == "own":  # of several in a row the newest alone counts
                self.own = message
                newest = message if newest is None or message.sent_ms > newest.sent_ms else newest
                continue
            if newest is not None:
                self.volts.own(newest)
                newest = None
            if topic == "secondary":
                self._frame(message)
            elif topic == "primary":
                self.primary = message
                self.volts.primary(message)
                for watcher in self.watchers:
                    watcher.primary(message)
        if newest is not None:
            self.volts.own(newest)
        self.volts.sort()
        if self.wall is not None and mail:
            self.wall.changed.append(self.place)

    def _frame(self, message: Message) -> None:
        values = message.values
        node, told = values["node"], _told(values)
        if type(node) is not int or type(sum(told)) is not float:
            node, told = int(number(node)), tuple(map(number, told))
        frame = Frame._make((message.sender, node, *told))
        self.frames.pop(node, None)
        self.frames[node] = frame
        self.count += 1
        self.volts.frame(message.sender, node, told[0])
        for watcher in self.watchers:
            watcher.frame(frame)

    def frames_since(self, count: int) -> Iterator[Frame]:
        """Give the frames taken since there were `count`, the newest first."""
        return islice(reversed(self.frames.values()), self.count - count)


def picture_of(site: Site, area: Area) -> Picture:
    """Return the picture of an area, the same for all its duties."""
    picture: Picture = shared(site, "picture", lambda: Picture(area))
    return picture
