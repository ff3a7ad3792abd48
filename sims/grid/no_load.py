"""Where voltages stand without load: the angles that transformers' vector groups give each node."""

from __future__ import annotations

import numpy as np

from sims.grid.compiled import CompiledNet
from sims.grid.parts import ComplexArray


def branch_turns(compiled: CompiledNet) -> ComplexArray:
    """Return the unit phasor V_to / V_from of each branch without load.

    With y_ft = -y / t* and y_tf = -y / t the ratio of the two gives the angle of t but for its sign; the
    sign follows from the series admittance y, which is resistive or inductive.
    """
    _, y_ft, y_tf, _ = compiled.y_raw
    with np.errstate(divide="ignore", invalid="ignore"):
        half = np.sqrt(y_tf / y_ft)
        half = np.where(np.isfinite(half) & (half != 0), half / np.abs(half), 1.0)
        series = -y_tf / half
    return np.where((series * np.exp(0.25j * np.pi)).real < 0, -half, half)


def node_turns(compiled: CompiledNet) -> ComplexArray:
    """Return the unit phasor V_node / V_root of each node without load; 1 on dark nodes."""
    net = compiled
    turns = branch_turns(net)
    out = np.ones(net.n_nodes, dtype=np.complex128)
    if net.radial:
        for node in net.order:
            branch = net.parent_branch[node]
            if branch >= 0:
                down = net.rep[net.branch_to[branch]] == node
                out[node] = out[net.parent[node]] * (turns[branch] if down else turns[branch].conj())
        return out[net.rep]
    reach: dict[int, list[tuple[int, complex]]] = {}
    for b in np.nonzero(net.joined)[0]:
        f, t = int(net.rep[net.branch_from[b]]), int(net.rep[net.branch_to[b]])
        reach.setdefault(f, []).append((t, turns[b]))
        reach.setdefault(t, []).append((f, turns[b].conj()))
    seen = {int(k) for k in net.rep[net.roots]}
    front = sorted(seen)
    while front:
        node = front.pop()
        for far, turn in reach.get(node, ()):
            if far not in seen:
                seen.add(far)
                out[far] = out[node] * turn
                front.append(far)
    return out[net.rep]
