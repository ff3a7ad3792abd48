"""Remote terminal units as real Modbus/TCP servers, in a thread of their own beside the run."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sims.core.errors import ScenarioError

LOOPBACK = "127.0.0.1"
MOST_UNITS = 247
"""Unit numbers a Modbus server may have, from 1 on."""

COILS, DISCRETE, HOLDING, INPUT = range(4)
"""The four tables of Modbus, in the order pymodbus wants them."""

DONE, REFUSED, NO_ADDRESS, NO_VALUE = range(4)
"""What a write comes to; the numbers are Modbus's exception codes (1 illegal function, 2 address, 3 value)."""

_TABLE = {1: COILS, 5: COILS, 15: COILS, 2: DISCRETE, 4: INPUT}


class Unit(Protocol):
    """One unit of a station: tables that are read at any time, and a place for writes."""

    def blocks(self) -> Mapping[int, Sequence[tuple[int, Sequence[int]]]]:
        """Return table -> (first address, values) of each block there; tables left out are empty."""
        ...

    def write(self, table: int, at: int, values: Sequence[int]) -> int:
        """Take a write from a client, and return one of `DONE`, `REFUSED`, `NO_ADDRESS`, `NO_VALUE`."""
        ...


class FieldServer:
    """Serves stations while the ``with`` block lasts, one TCP port each, units from 1 on.

    Parameters
    ----------
    stations : mapping of str to sequence of Unit
    bind : str
        Address to listen at; this machine only by default.
    port : int
        The first station's port, the others follow; 0 lets the system choose each.

    Attributes
    ----------
    ports : dict of str to int
        Station -> port, once the block is entered.

    Raises
    ------
    ScenarioError
        pymodbus is missing, a station has too many units, or a port is taken.
    """

    def __init__(self, stations: Mapping[str, Sequence[Unit]], *, bind: str = LOOPBACK, port: int = 5020) -> None:
        try:
            import pymodbus.server  # noqa: F401
        except ImportError as err:
            raise ScenarioError("Modbus needs pymodbus: pip install 'gridseam[modbus]'") from err
        for name, units in stations.items():
            if len(units) > MOST_UNITS:
                raise ScenarioError(f"{name} has {len(units)} units, but a Modbus server has {MOST_UNITS} at most")
        self._stations, self._bind, self._port = stations, bind, port
        self.ports: dict[str, int] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._done: asyncio.Event | None = None
        self._ready = threading.Event()
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="modbus", daemon=True)

    def __enter__(self) -> FieldServer:
        self._thread.start()
        self._ready.wait()
        if self._fault is not None:
            self._thread.join()
            raise ScenarioError(str(self._fault)) from self._fault
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._done is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join()

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as err:  # noqa: BLE001 - told to whoever entered the block
            self._fault = err
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        from pymodbus.server import ModbusTcpServer

        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # what clients get wrong is answered, not printed
        self._loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        servers = []
        try:
            for number, (name, units) in enumerate(self._stations.items()):
                port = self._port + number if self._port else 0
                devices = [_device(k, unit) for k, unit in enumerate(units, start=1)]
                server: Any = ModbusTcpServer(devices, address=(self._bind, port))
                try:
                    await server.serve_forever(background=True)
                except RuntimeError as err:
                    where = f"{self._bind}:{port}"
                    raise OSError(f"{name} cannot listen at {where}: is the port taken? Choose another") from err
                servers.append(server)
                self.ports[name] = server.transport.sockets[0].getsockname()[1]
            self._ready.set()
            await self._done.wait()
        finally:
            for server in servers:
                await server.shutdown()


def _device(number: int, unit: Unit) -> Any:
    """Return `unit` as pymodbus sees it; every access comes by, so that each read shows the newest values."""
    from pymodbus.constants import ExcCodes
    from pymodbus.simulator import DataType, SimData, SimDevice

    answers = {code: ExcCodes(code) for code in (REFUSED, NO_ADDRESS, NO_VALUE)}

    async def accessed(
        function: int, start: int, at: int, count: int, current: list[int], values: list[int] | list[bool] | None
    ) -> ExcCodes | None:
        table = _TABLE.get(function, HOLDING)
        if values is not None:
            done = unit.write(table, at, [int(value) for value in values])
            return answers.get(done)
        for first, block in unit.blocks().get(table, ()):
            if table in (COILS, DISCRETE):
                for k in range(0, len(block), 16):
                    current[(first + k) // 16 - start] = sum(int(bit) << i for i, bit in enumerate(block[k : k + 16]))
            else:
                current[first - start : first - start + len(block)] = block
        return None

    def table_of(table: int) -> list[Any]:
        kind = DataType.BITS if table in (COILS, DISCRETE) else DataType.REGISTERS
        cast: Any = bool if kind == DataType.BITS else int
        blocks = [(first, [cast(v) for v in block]) for first, block in unit.blocks().get(table, ()) if len(block)]
        # pymodbus wants something in every table: one place at the far end where a unit has none
        return [SimData(first, values=block, datatype=kind) for first, block in blocks or [(65_520, [cast(0)])]]

    tables = tuple(table_of(table) for table in (COILS, DISCRETE, HOLDING, INPUT))
    return SimDevice(number, simdata=tables, action=accessed)
