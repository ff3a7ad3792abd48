"""What areas do when they estimate themselves: tables of all that do so at once, compiled."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

(R, X, RAD, UP_P, UP_Q, W, ABOVE_V, ABOVE_RAD, BOUNDED, ENTRY_AT) = ENTRY = range(10)
"""Columns of the entries: impedance above [pu / MVA], angle there [rad], flow upwards [MW, Mvar], U^2 / 2 as known from
above, voltage and angle that the area above tells (NaN: none yet), whether W is known, and its row among the nodes."""

(EXIT_AT, EXIT_ENTRY, OUT_P, OUT_Q, BELOW_P, BELOW_Q) = EXIT = range(6)
"""Columns of the exits: row among the nodes, entry above it, flow outwards [MW, Mvar], and what the area below tells of
it (NaN: nothing yet)."""

(LINE, UPWARDS, K, HEARD, LETTERS, SAID_V, SAID_RAD, SAID_P, SAID_Q) = EDGE = range(9)
"""Columns of the edges: line, whether it leads upwards, its entry or exit, whether the neighbour has been heard in this
cycle, letters written in it, and what was told last (NaN: nothing yet)."""

(Z, RESULT, GAIN, ENTRIES, EXITS, EDGES, INJECTIONS, NODES) = LAYOUT = range(8)
"""Columns of the layout, a row an area and one more: where each area's part begins in the vector of measurements, the
results, the gains and the tables, and how many injections and nodes come before it."""

(TOLERANCE, BASE_MVA, ROUNDS) = range(3)
"""Columns of the settings, a row an area."""


@njit(cache=True)
def _above(i, k, w, layout, z, entry, stale):  # type: ignore[no-untyped-def]
    """Put what is known from above of the voltage at entry `k` into area `i`'s vector."""
    row = layout[i, ENTRIES] + k
    n_i, n_e = layout[i + 1, INJECTIONS] - layout[i, INJECTIONS], layout[i + 1, ENTRIES] - layout[i, ENTRIES]
    entry[row, W] = z[layout[i, Z] + 1 + 3 * n_i + 2 * n_e + k] = w
    if entry[row, BOUNDED] == 0.0:
        entry[row, BOUNDED] = 1.0
        stale[i] = True


@njit(cache=True)
def _up(i, k, p_mw, q_mvar, layout, z, entry):  # type: ignore[no-untyped-def]
    """Put the flow upwards at entry `k` into area `i`'s vector."""
    row = layout[i, ENTRIES] + k
    n_i, n_e = layout[i + 1, INJECTIONS] - layout[i, INJECTIONS], layout[i + 1, ENTRIES] - layout[i, ENTRIES]
    at = layout[i, Z] + 1 + 3 * n_i + k
    entry[row, UP_P] = z[at] = p_mw
    entry[row, UP_Q] = z[at + n_e] = q_mvar


@njit(cache=True)
def _out(i, k, p_mw, q_mvar, layout, z, leaving):  # type: ignore[no-untyped-def]
    """Put the flow outwards at exit `k` into area `i`'s vector."""
    row = layout[i, EXITS] + k
    n_i, n_e = layout[i + 1, INJECTIONS] - layout[i, INJECTIONS], layout[i + 1, ENTRIES] - layout[i, ENTRIES]
    n_x = layout[i + 1, EXITS] - layout[i, EXITS]
    at = layout[i, Z] + 1 + 3 * n_i + 3 * n_e + k
    leaving[row, OUT_P] = z[at] = p_mw
    leaving[row, OUT_Q] = z[at + n_x] = q_mvar


@njit(cache=True)
def flows(edges, p_mw, q_mvar, area_of, layout, z, entry, leaving, edge):  # type: ignore[no-untyped-def]
    """Put the flows out of areas over `edges` (rows of the table, -1: none of them) into their vectors [MW, Mvar]."""
    for j in range(len(edges)):
        if edges[j] >= 0:
            row = edge[edges[j]]
            if row[UPWARDS]:
                _up(area_of[edges[j]], int(row[K]), p_mw[j], q_mvar[j], layout, z, entry)
            else:
                _out(area_of[edges[j]], int(row[K]), p_mw[j], q_mvar[j], layout, z, leaving)


@njit(cache=True)
def busbars(entries, v_pu, p_mw, q_mvar, area_of, layout, z, entry, stale):  # type: ignore[no-untyped-def]
    """Put voltage and power [MW, Mvar] of the transformers above `entries` (rows of the table) into the vectors."""
    for j in range(len(entries)):
        i = area_of[entries[j]]
        k = entries[j] - layout[i, ENTRIES]
        _up(i, k, -p_mw[j], -q_mvar[j], layout, z, entry)
        _above(i, k, v_pu[j] * v_pu[j] / 2, layout, z, entry, stale)


@njit(cache=True)
def hear(edges, v_pu, rad, p_mw, q_mvar, area_of, layout, settings, entry, leaving, edge, moved):  # type: ignore[no-untyped-def]
    """Take the letters that came over `edges`; mark in `moved` the areas whose side they move."""
    for j in range(len(edges)):
        row, i = edge[edges[j]], area_of[edges[j]]
        row[HEARD] = 1.0
        if row[UPWARDS]:
            above = entry[layout[i, ENTRIES] + int(row[K])]
            if not abs(v_pu[j] - above[ABOVE_V]) < settings[i, TOLERANCE] / 4:
                moved[i] = True
            above[ABOVE_V], above[ABOVE_RAD] = v_pu[j], rad[j]
        else:
            below = leaving[layout[i, EXITS] + int(row[K])]
            least = settings[i, TOLERANCE] * settings[i, BASE_MVA] / 4
            if not (abs(p_mw[j] - below[BELOW_P]) <= least and abs(q_mvar[j] - below[BELOW_Q]) <= least):
                moved[i] = True
            below[BELOW_P], below[BELOW_Q] = p_mw[j], q_mvar[j]


@njit(cache=True)
def join(areas, layout, z, entry, leaving, stale):  # type: ignore[no-untyped-def]
    """Put what neighbours say into the vectors: voltage above, flows below; mark whose gain is no longer true."""
    for i in areas:
        for k in range(layout[i + 1, ENTRIES] - layout[i, ENTRIES]):
            row = entry[layout[i, ENTRIES] + k]
            v_pu = row[ABOVE_V]
            if v_pu > 0.2:
                r, x, p_mw, q_mvar = row[R], row[X], row[UP_P], row[UP_Q]
                row[RAD] = row[ABOVE_RAD] + x * p_mw - r * q_mvar
                _above(i, k, v_pu * v_pu / 2 + r * p_mw + x * q_mvar, layout, z, entry, stale)
        for k in range(layout[i + 1, EXITS] - layout[i, EXITS]):
            row = leaving[layout[i, EXITS] + k]
            if not math.isnan(row[BELOW_P]):
                _out(i, k, -row[BELOW_P], -row[BELOW_Q], layout, z, leaving)


@njit(cache=True)
def estimate(areas, first, layout, settings, z, gain, result, entry, leaving, edge, written):  # type: ignore[no-untyped-def]
    """Estimate areas and write to the neighbours whose side has moved, all of them in a `first` round.

    The rows of the edges that are written over go to `written`; returned is how many they are. What is written stands
    in the table of edges.
    """
    count = 0
    for j in range(len(areas)):
        i = areas[j]
        begin, end = layout[i, RESULT], layout[i + 1, RESULT]
        a, b = layout[i, Z], layout[i + 1, Z]
        g, size = layout[i, GAIN], b - a
        for row in range(end - begin):
            total = 0.0
            for c in range(size):
                total += gain[g + row * size + c] * z[a + c]
            result[begin + row] = total
        n, n_e = layout[i + 1, NODES] - layout[i, NODES], layout[i + 1, ENTRIES] - layout[i, ENTRIES]
        n_x = layout[i + 1, EXITS] - layout[i, EXITS]
        tolerance = settings[i, TOLERANCE]
        for e in range(layout[i, EDGES], layout[i + 1, EDGES]):
            row, k = edge[e], int(edge[e, K])
            if row[UPWARDS]:
                at = entry[layout[i, ENTRIES] + k]
                up = begin + n + n_x + k
                w, rad, p_mw, q_mvar = result[begin + int(at[ENTRY_AT])], at[RAD], result[up], result[up + n_e]
            else:
                at = leaving[layout[i, EXITS] + k]
                w = result[begin + int(at[EXIT_AT])]
                rad = result[begin + n + k] + entry[layout[i, ENTRIES] + int(at[EXIT_ENTRY]), RAD]
                p_mw, q_mvar = at[OUT_P], at[OUT_Q]
            v_pu = math.sqrt(max(2.0 * w, 0.0))
            if not first[j]:
                if row[UPWARDS]:
                    least = tolerance * settings[i, BASE_MVA]
                    still = abs(p_mw - row[SAID_P]) <= least and abs(q_mvar - row[SAID_Q]) <= least
                else:
                    still = abs(v_pu - row[SAID_V]) <= tolerance and abs(rad - row[SAID_RAD]) <= tolerance
                if still or row[LETTERS] >= settings[i, ROUNDS]:
                    continue
            row[SAID_V], row[SAID_RAD], row[SAID_P], row[SAID_Q] = v_pu, rad, p_mw, q_mvar
            row[LETTERS] += 1
            written[count] = e
            count += 1
    return count


@njit(cache=True)
def forget(areas, layout, edge):  # type: ignore[no-untyped-def]
    """Forget who has been heard and written to in the last cycle."""
    for i in areas:
        for e in range(layout[i, EDGES], layout[i + 1, EDGES]):
            edge[e, HEARD] = edge[e, LETTERS] = 0.0


@njit(cache=True)
def whole(areas, layout, edge):  # type: ignore[no-untyped-def]
    """Return which areas have heard all their neighbours in this cycle."""
    found = np.ones(len(areas), dtype=np.bool_)
    for j in range(len(areas)):
        for e in range(layout[areas[j], EDGES], layout[areas[j] + 1, EDGES]):
            found[j] = found[j] and edge[e, HEARD] != 0.0
    return found


@njit(cache=True)
def mismatch(areas, layout, settings, result, entry, leaving):  # type: ignore[no-untyped-def]
    """Return the largest difference between each area's side of its edges and what the neighbours say [pu]."""
    found = np.zeros(len(areas))
    for j in range(len(areas)):
        i = areas[j]
        for row in entry[layout[i, ENTRIES]:layout[i + 1, ENTRIES]]:
            if row[ABOVE_V] > 0.2:
                here_pu = math.sqrt(2 * max(result[layout[i, RESULT] + int(row[ENTRY_AT])], 0.0))
                found[j] = max(found[j], abs(here_pu - math.sqrt(2 * row[W])))
        for row in leaving[layout[i, EXITS]:layout[i + 1, EXITS]]:
            if not math.isnan(row[BELOW_P]):
                off_mva = max(abs(row[OUT_P] + row[BELOW_P]), abs(row[OUT_Q] + row[BELOW_Q]))
                found[j] = max(found[j], off_mva / settings[i, BASE_MVA])
    return found
