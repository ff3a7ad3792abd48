"""Random streams keyed by what they are for, so that one draw never shifts another's."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np


def stream(seed: int, name: str, purpose: str) -> np.random.Generator:
    """Return the generator of `name` for `purpose`; the same whatever else draws, and in any process.

    The key is a BLAKE2 digest of both texts, since Python's own `hash` changes from run to run.
    """
    digest = blake2b(f"{name}\0{purpose}".encode(), digest_size=16).digest()
    words = np.frombuffer(digest, dtype="<u4").tolist()
    return np.random.default_rng(np.random.SeedSequence([seed, *words]))
