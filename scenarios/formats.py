"""How a grid that a user brings is named, decided by its name alone: no file is read and nothing is loaded."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

SUFFIXES = (".json", ".xlsx", ".m", ".mat", ".zip", ".xml")
"""pandapower, pandapower, MATPOWER twice, CGMES twice."""
SIMBENCH = "simbench:"
_CODE = re.compile(
    r"1-(complete_data|(EHV|HV|MV|LV)+)-(mixed|rural\d?|semiurb\d?|urban\d?|comm)-(all|\d+(\.\d+)?)?-[012]-(sw|no_sw)"
)
EXAMPLE = "simbench:1-MV-rural--0-sw"


def suffix_of(name: str) -> str:
    """Return the ending that tells the format, in lower case."""
    return PurePosixPath(name.replace("\\", "/")).suffix.lower()


def is_file(name: str) -> bool:
    """Tell whether `name` is that of a file beside the scenario."""
    return name.startswith(("./", "../"))


def fault(name: str) -> str:
    """Return why `name` names no grid that can be brought, empty where it does."""
    if name.startswith(SIMBENCH):
        code = name.removeprefix(SIMBENCH)
        return "" if _CODE.fullmatch(code) else f"'{code}' is no SimBench code; one is {EXAMPLE}"
    if is_file(name) and suffix_of(name) in SUFFIXES:
        return ""
    return f"nor a ./file{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}, nor a SimBench code like {EXAMPLE}"
