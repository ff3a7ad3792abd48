"""Where a run can be taken up again: the state of every simulator, kept beside the run file while it is written.

The file is a checksum, a line of JSON that says what it belongs to, and the state as `sims.core.packing` packs it;
things that a restart builds anyway (grids, what sites believe) are named, not kept.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sims.core.errors import GridseamError

SUFFIX = ".checkpoint"
_MARK = b"gridseam checkpoint 1\n"
_SUM_BYTES = 32


@dataclass(frozen=True)
class Checkpoint:
    """What stands in the file: which cell of which run it belongs to, how far it had come, and the state.

    Parameters
    ----------
    cell : str
        Digest of scenario, pairing and code; a restart of anything else is refused.
    folder : str
        Where the files lie that the scenario names.
    reached_ms : int
        All steps before are done.
    rows : mapping of str to int
        How many rows of each group of the run file, and bytes of free text, belong to it.
    state : bytes
        See `sims.core.packing`.
    """

    cell: str
    folder: str
    reached_ms: int
    rows: Mapping[str, int]
    state: bytes

    def write(self, path: Path) -> None:
        """Put the checkpoint in its place, at once and whole; the one before is gone only then."""
        about = {"cell": self.cell, "folder": self.folder, "reached_ms": self.reached_ms, "rows": dict(self.rows)}
        head = json.dumps(about).encode()
        body = head + b"\n" + self.state
        part = path.with_suffix(f"{path.suffix}.part")
        try:
            with part.open("wb") as file:
                file.write(_MARK + hashlib.sha256(body).digest() + body)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Return the checkpoint at `path`.

        Raises
        ------
        GridseamError
            There is none, or it is damaged.
        """
        try:
            data = path.read_bytes()
        except OSError as err:
            raise GridseamError(f"{path}: no checkpoint to continue from ({err.strerror}); run it anew") from err
        start = len(_MARK)
        found, body = data[start : start + _SUM_BYTES], data[start + _SUM_BYTES :]
        if not data.startswith(_MARK) or hashlib.sha256(body).digest() != found:
            raise GridseamError(f"{path}: the checkpoint is damaged; run it anew")
        head, _, state = body.partition(b"\n")
        about = json.loads(head)
        return cls(about["cell"], about["folder"], about["reached_ms"], about["rows"], state)


def place_of(run_file: Path) -> Path:
    """Return where the checkpoint of a run file lies."""
    return run_file.with_suffix(SUFFIX)
