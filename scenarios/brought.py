"""Grids that a user brings: pandapower JSON and Excel, MATPOWER, CGMES, SimBench; read as data, never run as code."""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandapower as pp
import pandas as pd

from scenarios import foreign
from scenarios.formats import SIMBENCH, suffix_of
from scenarios.shelf import kept
from sims.core.errors import GridError
from sims.grid.sanitise import UNSUPPORTED

Left = list[str]
"""What a reader has left out, one line each."""

MODELLED = (
    "bus", "line", "trafo", "trafo3w", "impedance", "switch", "ext_grid", "load", "sgen", "storage", "gen", "motor",
    "ward", "shunt", "asymmetric_load", "asymmetric_sgen",
)
"""Tables that the compiled grid is made of."""
_ASIDE = ("bus_geodata", "line_geodata", "trafo_tap_characteristic")
_LABELLED = {"poly_cost": "costs", "pwl_cost": "costs", "measurement": "measurements", "controller": "controllers",
             "group": "groups", "characteristic": "characteristics"}
_HEAVY = ("profiles", "loadcases", "studycases", "output_writer")


@dataclass(frozen=True, eq=False)
class Brought:
    """A net with what became of the file it comes from.

    Parameters
    ----------
    source : str
        Name of the file, or the SimBench code.
    net : pandapowerNet
    counts : dict of str to int
        How many elements of each kind it has.
    left_out : tuple of str
        What the file holds and the grid does not: not converted, or not modelled.
    """

    source: str
    net: Any
    counts: dict[str, int]
    left_out: tuple[str, ...]


def read(name: str, folder: Path | None = None) -> Brought:
    """Return the net in a file, or SimBench's, with what was left out.

    Parameters
    ----------
    name : str
        ``./grid.json`` or ``.xlsx`` (pandapower), ``.m`` or ``.mat`` (MATPOWER), ``.zip`` or ``.xml`` (CGMES) in
        `folder`, or ``simbench:1-MV-rural--0-sw``.

    Raises
    ------
    GridError
        It cannot be read, is no net, brings code, or needs a package that is not installed.
    """
    left: Left = []
    with _quietly():
        if name.startswith(SIMBENCH):
            net, source = _simbench(name.removeprefix(SIMBENCH)), name
        else:
            path = (folder or Path()) / name
            source = path.name
            try:
                net = _READERS[suffix_of(name)](path, left)
            except GridError:
                raise
            except KeyError as err:
                if suffix_of(name) in _READERS:
                    raise GridError(f"grid {source}: has no {err}") from err
                raise GridError(f"grid {source}: ends on none of {', '.join(_READERS)}") from None
            except ImportError as err:
                package = err.name or str(err)
                raise GridError(f"grid {source}: needs {package}: pip install 'gridseam[grids]'") from err
            except OSError as err:
                raise GridError(f"grid {source}: cannot be read: {err.strerror or err}") from err
            except Exception as err:  # whatever a converter raises about a damaged table
                raise GridError(f"grid {source}: {err}") from err
        if not isinstance(net, pp.pandapowerNet):
            raise GridError(f"grid {source}: is no pandapower net")
    left += _unmodelled(net)
    counts = {table: len(net[table]) for table in MODELLED if table in net and len(net[table])}
    return Brought(source, net, counts, tuple(left))


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep what converters think aloud from the user's screen; the summary says what matters."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _unmodelled(net: Any) -> Left:
    """Return the tables of `net` that no engine reads, and what it refuses."""
    left = [f"{len(net[table])} {table}: not modelled; the grid is refused while any is in service"
            for table in UNSUPPORTED if table in net and isinstance(net[table], pd.DataFrame) and len(net[table])]
    for table, frame in net.items():
        known = table in MODELLED or table in UNSUPPORTED or table in _ASIDE
        if not known and isinstance(frame, pd.DataFrame) and len(frame) and not str(table).startswith(("_", "res_")):
            left.append(f"{len(frame)} {_LABELLED.get(str(table), table)}: the power flow has no use for them")
    left += [f"{key}: left behind" for key in _HEAVY if net.get(key) is not None and len(net[key])]
    return left


def _json(path: Path, left: Left) -> Any:
    del left
    return pp.from_json_string(foreign.text_of(path))


def _xlsx(path: Path, left: Left) -> Any:
    """Read a pandapower workbook, in whose cells may stand JSON, which may name code."""
    del left
    _refuse_bombs(path)
    sheets = pd.read_excel(path, sheet_name=None, index_col=0, engine="openpyxl")
    if "bus" not in sheets or "parameters" not in sheets:
        raise ValueError("is no pandapower net; write it with pandapower.to_excel")
    for sheet, frame in sheets.items():
        for column in frame.select_dtypes(object).columns:
            for cell in frame[column]:
                for what in foreign.named_in(cell):
                    raise ValueError(f"sheet {sheet}, column {column}: {what}")
    return pp.from_excel(str(path))


def _matpower(path: Path, left: Left) -> Any:
    """Read a MATPOWER case, version 2: text (``.m``) or data (``.mat``)."""
    from pandapower.converter.matpower.from_mpc import from_mpc

    if path.stat().st_size > foreign.MAX_BYTES:
        raise ValueError(f"has more than {foreign.MAX_BYTES / 1e6:.0f} MB")
    if path.suffix == ".m":
        import matpowercaseframes  # noqa: F401  pandapower would miss it later, and less clearly

        fields = re.findall(r"^\s*mpc\.(\w+)\s*=", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
        if not {"bus", "branch", "gen", "baseMVA"} <= set(fields):
            raise ValueError("is no MATPOWER case: it needs mpc.baseMVA, mpc.bus, mpc.gen and mpc.branch")
    net = from_mpc(str(path), f_hz=50)
    if path.suffix == ".mat":
        fields = [str(key) for key, value in net.get("_options", {}).items() if getattr(value, "size", 1)]
    used = ("version", "baseMVA", "bus", "gen", "branch", "gencost", "bus_name")
    left += [f"mpc.{field}: not converted" for field in fields if field not in used]
    net.sn_mva = float(net.sn_mva)
    limits = int((net.line["max_i_ka"] > 1e4).sum()) if len(net.line) else 0
    if limits:
        left.append(f"{limits} lines have no rating (rateA = 0): their loading means nothing")
    return net


def _cgmes(path: Path, left: Left) -> Any:
    """Read CGMES 2.4.15 or 3.0: one zip of its profiles, or one file that holds them all."""
    from pandapower.converter.cim.cim2pp.from_cim import from_cim

    if path.suffix == ".zip":
        _refuse_bombs(path)
        with zipfile.ZipFile(path) as archive:
            texts = [archive.read(item) for item in archive.namelist() if item.lower().endswith(".xml")]
    else:
        texts = [path.read_bytes()]
    if not texts:
        raise ValueError("holds no XML file")
    if any(b"<!DOCTYPE" in text or b"<!ENTITY" in text for text in texts):
        raise ValueError("declares entities, which no CGMES file does")
    release = "3.0" if any(b"CIM100#" in text for text in texts) else "2.4.15"
    net = from_cim(str(path), cgmes_version=release)
    left += _unconverted(texts, net)
    return net


_TERMINAL_OF = re.compile(rb'<cim:Terminal\.ConductingEquipment\s+rdf:resource="#?([^"]+)"')
_THING = re.compile(rb'<cim:(\w+)\s+rdf:(?:ID|about)="#?([^"]+)"')


def _unconverted(texts: list[bytes], net: Any) -> Left:
    """Return the conducting equipment of the files that no element of the net comes from, by class."""
    wired = {hit for text in texts for hit in _TERMINAL_OF.findall(text)}
    kind_of = {thing: kind for text in texts for kind, thing in _THING.findall(text) if kind != b"Terminal"}
    origins: set[str] = set()
    for frame in net.values():
        if isinstance(frame, pd.DataFrame):
            for column in frame.columns:
                if str(column).startswith("origin_id"):
                    origins.update(frame[column].dropna().astype(str))
    missing = [kind_of.get(thing, b"equipment").decode() for thing in wired
               if thing.decode() not in origins and kind_of.get(thing) not in (b"BusbarSection", b"Junction")]
    return [f"{missing.count(kind)} {kind}: not converted" for kind in sorted(set(missing))]


def _refuse_bombs(path: Path) -> None:
    """Refuse an archive that would unpack to more than a net has."""
    with zipfile.ZipFile(path) as archive:
        size = sum(item.file_size for item in archive.infolist())
    if size > foreign.MAX_BYTES:
        raise ValueError(f"unpacks to {size / 1e6:.0f} MB; a net has at most {foreign.MAX_BYTES / 1e6:.0f} MB")


@contextmanager
def _without_years(folder: str) -> Iterator[str]:
    """Lend a copy of SimBench's tables with the first row of each profile: the whole years are most of the reading."""
    with tempfile.TemporaryDirectory() as brief:
        for path in Path(folder).glob("*.csv"):
            if path.stem.endswith("Profile"):
                with path.open("rb") as table:
                    (Path(brief) / path.name).write_bytes(table.readline() + table.readline())
            else:
                shutil.copyfile(path, Path(brief) / path.name)
        yield brief


def _simbench(code: str) -> Any:
    """Return a SimBench net without its year of profiles; read once in seconds, then kept on disk."""
    try:
        release = version("simbench")
    except PackageNotFoundError:
        raise GridError(f"grid {SIMBENCH}{code}: SimBench's grids come with the package simbench: "
                        "pip install 'gridseam[simbench]'") from None

    def fresh() -> str:
        import simbench

        if code not in simbench.collect_all_simbench_codes():
            raise GridError(f"grid {SIMBENCH}{code}: simbench {release} has no such code; "
                            "simbench.collect_all_simbench_codes() lists them")
        with _without_years(simbench.complete_data_path(simbench.get_simbench_code_and_parameters(code)[1][5])) as data:
            net = simbench.get_simbench_net(code, input_path=data)
        for key in _HEAVY:
            net.pop(key, None)
        return str(pp.to_json(net))

    text: str = kept("simbench", (code, release), fresh, ())
    return pp.from_json_string(foreign.checked(text))


_READERS: dict[str, Callable[[Path, Left], Any]] = {
    ".json": _json, ".xlsx": _xlsx, ".m": _matpower, ".mat": _matpower, ".zip": _cgmes, ".xml": _cgmes,
}
