import textwrap
from pathlib import Path

import pytest

SMALL = """\
    name: small
    time:
      start: "2016-07-20T00:00:00+02:00"
      duration: 24 h
      step: 60 s
    pairing: {architecture: local, stage: 1}
    transmission:
      reserves:
        - {cell: 1, fcr_mw: 300}
    dsos:
      - name: north
        cell: 1
        interfaces:
          - bus: 4
            trafo: {sn_mva: 700}
            grids:
              - {grid: cigre_mv, count: 2, pv_mw_per_mw_load: 0.5}
              - {grid: mv_oberrhein}
          - bus: 8
            trafo: {sn_mva: 300}
            grids: [{grid: cigre_mv}]
      - name: south
        cell: 2
        interfaces:
          - bus: 15
            trafo: {sn_mva: 700}
            grids: [{grid: cigre_mv_lv}]
    disturbances:
      - {at: "15:00", kind: line_fault, feeder: north.f02, line: 3}
      - {at: "1d 00:00", kind: comms_outage, node: north.dms, duration: 10 min}
    variants:
      short: {time: {duration: 2 h}, disturbances: []}
      broken:
        pairing: {architecture: centrall}
"""
"""The second disturbance begins when the run is over: line 30."""


@pytest.fixture
def small() -> str:
    """A scenario that is right."""
    lines = textwrap.dedent(SMALL).splitlines(keepends=True)
    return "".join(line for line in lines if "1d 00:00" not in line)


@pytest.fixture
def late() -> str:
    """The same with a disturbance after the end, in line 30."""
    return textwrap.dedent(SMALL)


@pytest.fixture
def write(tmp_path):
    """Write a scenario file and return its path."""

    def put(text, name="winter.yaml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return put


@pytest.fixture(scope="session")
def small_path() -> Path:
    """A scenario that runs in seconds."""
    return Path(__file__).parent / "data" / "small.yaml"


@pytest.fixture(scope="session")
def shared(small_path):
    """What the pairings of that scenario share."""
    from scenarios.ground import ground
    from scenarios.load import load

    return ground(load(small_path))
