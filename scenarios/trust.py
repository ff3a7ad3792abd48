"""Whose code a scenario may name: what lies in its folder and what is installed as a plug-in, else only on request.

A file beside the scenario is there by the user's own hand, a plug-in (entry point) by their own installation, and
gridseam's own packages are gridseam. ``package.module:Class`` reaches anything that Python can import: somebody
else's scenario could run what its author chose. It takes ``--trust-code``.
"""

from __future__ import annotations

import os

VARIABLE = "GRIDSEAM_TRUST_CODE"
"""Environment variable that says the same as ``--trust-code``; processes that a command starts inherit it."""
OWN = ("controllers", "sims", "results", "scenarios", "gridseam")


def trust_code(yes: bool = True) -> None:
    """Let scenarios of this process, and of those it starts, name code by module, or not any longer."""
    if yes:
        os.environ[VARIABLE] = "1"
    else:
        os.environ.pop(VARIABLE, None)


def fault(reference: str) -> str:
    """Return why ``package.module:Class`` is not taken from a scenario, empty where it is."""
    place, colon, _ = reference.rpartition(":")
    if not colon or place.endswith(".py") or place.split(".", 1)[0] in OWN or os.environ.get(VARIABLE) == "1":
        return ""
    return (
        f"'{reference}' names code outside the scenario's folder: if you know it, give --trust-code; else put the "
        "file beside the scenario and write ./file.py:Class"
    )


def start_fault() -> str:
    """Return why a scenario may not start programs, empty where it may."""
    if os.environ.get(VARIABLE) == "1":
        return ""
    return "starts a program of the scenario's choice: if you know it, give --trust-code"
