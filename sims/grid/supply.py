"""Who is supplied: the graph of a grid under given switch states, as seen from its roots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components

from sims.grid.parts import BoolArray, ComplexArray, IntArray


@dataclass(frozen=True, eq=False)
class Supply:
    """What the switch states make of the graph.

    Parameters
    ----------
    rep : ndarray of int [node]
        The node that stands electrically for this one (itself, unless a closed bus switch joins them).
    live : ndarray of bool [node]
        Connected to a root.
    joined : ndarray of bool [branch]
        Connects two live nodes; a live branch with one open end is not joined.
    radial : bool
        The live part is a forest with one root per tree.
    order : ndarray of int
        Live representative nodes from the roots outwards.
    parent, parent_branch : ndarray of int [node]
        Next node towards the root and the branch leading there; -1 at roots, dark nodes, joined nodes, and
        everywhere in a meshed grid.
    """

    rep: IntArray
    live: BoolArray
    joined: BoolArray
    radial: bool
    order: IntArray
    parent: IntArray
    parent_branch: IntArray


def trace(
    n_nodes: int,
    roots: IntArray,
    branch_from: IntArray,
    branch_to: IntArray,
    closed: BoolArray,
    node_in_service: BoolArray,
    fused: IntArray,
) -> Supply:
    """Trace the grid from its roots.

    Parameters
    ----------
    closed : ndarray of bool [branch]
        In service with both ends closed.
    node_in_service : ndarray of bool [node]
    fused : ndarray of int [pair, 2]
        Nodes joined by closed bus switches.
    """
    rep = np.arange(n_nodes, dtype=np.int64)
    if len(fused):
        _, label = connected_components(_graph(n_nodes, fused[:, 0], fused[:, 1]), directed=False)
        first = np.full(n_nodes, n_nodes, dtype=np.int64)
        np.minimum.at(first, label, rep)
        lead = np.full(n_nodes, -1, dtype=np.int64)
        lead[label[roots]] = roots
        first = np.where(lead >= 0, lead, first)
        rep = first[label]
    f, t = rep[branch_from], rep[branch_to]
    both = closed & node_in_service[branch_from] & node_in_service[branch_to]
    # One virtual node behind all roots: a path between two roots then shows up as a loop, which it is.
    virtual = n_nodes
    heads = np.unique(rep[roots])
    tail = np.concatenate((f[both], np.full(len(heads), virtual)))
    head = np.concatenate((t[both], heads))
    _, label = connected_components(_graph(n_nodes + 1, tail, head), directed=False)
    is_rep = rep == np.arange(n_nodes)
    live = (label[rep] == label[virtual]) & node_in_service
    live_rep = live & is_rep
    joined = both & live[branch_from] & live[branch_to]
    parent = np.full(n_nodes, -1, dtype=np.int64)
    parent_branch = np.full(n_nodes, -1, dtype=np.int64)
    order, pred = breadth_first_order(_graph(n_nodes + 1, tail, head), virtual, directed=False)
    order = order[order < n_nodes].astype(np.int64)
    order = order[live_rep[order]]
    edges = int(joined.sum()) + len(heads)
    radial = edges == int(live_rep.sum())
    if radial:
        rows = np.nonzero(joined)[0]
        below = np.where(pred[t[rows]] == f[rows], t[rows], f[rows])
        above = np.where(pred[t[rows]] == f[rows], f[rows], t[rows])
        parent[below] = above
        parent_branch[below] = rows
    return Supply(rep, live, joined, bool(radial), order, parent, parent_branch)


def _graph(n: int, a: IntArray, b: IntArray) -> coo_matrix:
    return coo_matrix((np.ones(len(a)), (a, b)), shape=(n, n)).tocsr()


def dead_ends(y_raw: ComplexArray, from_closed: BoolArray, to_closed: BoolArray) -> ComplexArray:
    """Return the admittances seen with the open ends eliminated.

    A branch fed at one end keeps its charging and magnetising current: y_ff - y_ft y_tf / y_tt (Kron).
    """
    y_ff, y_ft, y_tf, y_tt = y_raw
    both = from_closed & to_closed
    with np.errstate(divide="ignore", invalid="ignore"):
        at_from = np.where(y_tt != 0, y_ff - y_ft * y_tf / y_tt, 0.0)
        at_to = np.where(y_ff != 0, y_tt - y_ft * y_tf / y_ff, 0.0)
    zero = np.zeros_like(y_ff)
    return np.array([
        np.where(both, y_ff, np.where(from_closed & ~to_closed, at_from, zero)),
        np.where(both, y_ft, zero),
        np.where(both, y_tf, zero),
        np.where(both, y_tt, np.where(to_closed & ~from_closed, at_to, zero)),
    ])
