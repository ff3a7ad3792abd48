"""Random streams keyed by what they are for, so that one draw never shifts another's."""

from __future__ import annotations

from hashlib import blake2b
from struct import Struct

import numpy as np

_WORDS = Struct("<QQ")


class Draws:
    """Numbers of any link and purpose, block by block, from one generator that is set to the place.

    Philox is a keyed function of a counter (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
    2011): the key is a digest of seed, name and purpose, the block is the counter's second word. A block
    is had at a tenth of the cost of a generator of its own, and all that is to be kept is its number.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._bits = np.random.Philox(0)
        self._generator = np.random.Generator(self._bits)
        self._place = self._bits.state
        self._key = self._place["state"]["key"] = np.zeros(2, dtype=np.uint64)
        self._counter = self._place["state"]["counter"] = np.zeros(4, dtype=np.uint64)

    def block(self, name: str, purpose: str, number: int) -> np.random.Generator:
        """Return the generator, set to the start of a block; draw from it before asking for another."""
        digest = blake2b(f"{self._seed}\0{name}\0{purpose}".encode(), digest_size=16).digest()
        self._key[0], self._key[1] = _WORDS.unpack(digest)
        self._counter[1] = number
        self._bits.state = self._place
        return self._generator


def stream(seed: int, name: str, purpose: str) -> np.random.Generator:
    """Return the generator of `name` for `purpose`; the same whatever else draws, and in any process.

    The key is a BLAKE2 digest of both texts, since Python's own `hash` changes from run to run.
    """
    digest = blake2b(f"{name}\0{purpose}".encode(), digest_size=16).digest()
    words = np.frombuffer(digest, dtype="<u4").tolist()
    return np.random.default_rng(np.random.SeedSequence([seed, *words]))
