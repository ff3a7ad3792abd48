"""Starts simulators in processes of their own, which end with whoever has started them."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from mosaik.proxies import RemoteProxy
from mosaik.starters import Starter
from mosaik_api_v3.connection import Channel

from sims.core.leash import leashed

CONNECT_S = 120.0
"""How long a simulator in its own process may take to connect."""
_LOOK_S, _STOP_S = 0.1, 0.1


@Starter.register
class Process:
    """A command that starts a simulator, which then connects to us.

    Beyond what mosaik's own starter does, a process that ends before it connects is noticed at once, and on Linux
    none stays when ours is killed: a simulator whose connection is cut off in mid-request waits for ever.

    Parameters
    ----------
    command : str
        With ``%(addr)s`` where the address to connect to is to stand.
    folder : Path
        Where it is started.
    """

    api_version = None

    def __init__(self, command: str, folder: Path) -> None:
        self._command, self._folder = command, folder
        self._popen: subprocess.Popen[bytes] | None = None

    async def start(self, sim_id: str, mosaik_remote: Any, mosaik_config: Any) -> RemoteProxy:
        """Start it and return the connection.

        Raises
        ------
        OSError, ValueError
            There is no such program, or the command cannot be read.
        TimeoutError
            It ended, or did not connect in time.
        """
        connected: asyncio.Future[Channel] = asyncio.get_running_loop().create_future()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connected.set_result(Channel(reader, writer, name=sim_id))

        server = await asyncio.start_server(accept, *mosaik_config["addr"])
        try:
            host, port = server.sockets[0].getsockname()
            command = self._command % {"addr": f"{host}:{port}", "python": sys.executable}
            self._popen = subprocess.Popen(leashed(shlex.split(command, posix=os.name != "nt")), cwd=self._folder)
            until_s = time.monotonic() + CONNECT_S
            while not connected.done():
                if (code := self.ended()) is not None:
                    raise TimeoutError(f"ended with code {code} before it connected")
                if time.monotonic() > until_s:
                    raise TimeoutError(f"has not connected within {CONNECT_S:.0f} s")
                await asyncio.wait({connected}, timeout=_LOOK_S)
            return _Proxy(connected.result(), mosaik_remote)
        finally:
            server.close()

    def ended(self) -> int | None:
        """Return with which code the process has ended, None while it runs."""
        return None if self._popen is None else self._popen.poll()

    def end(self, patience_s: float = 0.0) -> None:
        """Wait for its end for so long, then end it, whatever it does."""
        if self._popen is not None:
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(patience_s)
            self._popen.kill()
            self._popen.wait()


class _Proxy(RemoteProxy):  # type: ignore[misc]
    """The connection to a simulator that may have gone."""

    async def stop(self) -> None:
        """Ask it to stop, if it is still there, and close the connection."""
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            await asyncio.wait_for(self._channel.send(["stop", [], {}]), _STOP_S)
        self._reader_task.cancel()
        with suppress(ConnectionError):
            await self._channel.close()
        await asyncio.gather(self._reader_task, return_exceptions=True)
