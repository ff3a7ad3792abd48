import importlib.util
from pathlib import Path

import pytest

from results.runfile import Run

spec = importlib.util.spec_from_file_location("day", Path(__file__).parents[1] / "results" / "conftest.py")
day = importlib.util.module_from_spec(spec)
spec.loader.exec_module(day)


@pytest.fixture
def run(tmp_path):
    return day.write_day(tmp_path / "local-1.h5", "local", 1)


def test_export_says_where(run, gridseam, tmp_path):
    done = gridseam("export", "local-1.h5", "--to", "csv", "--only", "cell", "-o", "there")
    assert (done.returncode, done.stdout) == (0, "there\n")
    assert sorted(p.name for p in (tmp_path / "there").iterdir()) == [
        "cell.f_hz.csv", "cell.p_sched_mw.csv", "cell.p_tie_mw.csv", "cell.static.csv",
    ]  # fmt: skip


def test_diff_ends_with_0_for_equals_and_1_for_others(run, gridseam, tmp_path):
    assert gridseam("export", "local-1.h5", "--to", "nc").returncode == 0
    same = gridseam("diff", "local-1.h5", "local-1.nc")
    assert (same.returncode, same.stdout) == (0, "the same\n")
    day.write_day(tmp_path / "local-2.h5", "local", 2)
    other = gridseam("diff", "local-1.h5", "local-2.h5")
    assert other.returncode == 1
    lines = other.stdout.splitlines()
    assert lines[0] == "setting stage: 1 and 2"
    assert next(line for line in lines if line.startswith("first ")).startswith("first at 0.000 s in bus: bus.vm_pu of")
    assert lines[-1].endswith("more columns; --all names them")
    assert len(gridseam("diff", "local-1.h5", "local-2.h5", "--all").stdout.splitlines()) > len(lines)


def test_repair_makes_a_file_that_info_and_page_read(run, gridseam, tmp_path):
    done = gridseam("repair", "local-1.h5")
    assert done.stdout == "local-1.repaired.h5: complete, to 23.98 h\n"
    with Run(tmp_path / "local-1.repaired.h5") as mended:
        assert mended.attrs["stage"] == 1
    assert "gridseam: 0.1.0" in gridseam("info", "local-1.repaired.h5").stdout
    done = gridseam("page", "local-1.repaired.h5", "-o", "p.html")
    assert done.stdout == "p.html\n"
    assert "summer day" in (tmp_path / "p.html").read_text()


def test_report_writes_a_page_for_each_run_and_links_it(run, gridseam, tmp_path):
    assert gridseam("report", ".", "--no-pages").returncode == 0
    assert not (tmp_path / "pages").exists()
    assert "on its own page" not in (tmp_path / "report.html").read_text()
    assert gridseam("report", ".").returncode == 0
    assert 'href="pages/local-1.html"' in (tmp_path / "report.html").read_text()
    assert 'href="../report.html"' in (tmp_path / "pages" / "local-1.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["export", "local-1.h5", "--to", "cvs"], "'cvs' is not one of csv | xlsx | parquet | nc (did you mean csv?)"),
        (["export", "local-1.h5", "--to", "csv", "--only", "buss"], "no 'buss' in this run (did you mean bus?)"),
        (["export", "local-1.h5"], "--to"),
        (["export", "none.h5", "--to", "csv"], "none.h5: no such run file"),
        (["diff", "local-1.h5", "text.h5"], "text.h5: not a gridseam run file (no HDF5 in it)"),
        (["diff", "local-1.h5", "cut.h5"], "cut.h5: the file is cut short"),
        (["diff", "local-1.h5", "local-1.h5", "--rtol", "-1"], "--rtol"),
        (["repair", "text.h5"], "text.h5: not a gridseam run file"),
        (["repair", "cut.h5"], "cut.h5"),
        (["info", "."], ".: is a folder; name a run file in it"),
        (["report", "local-1.h5"], "local-1.h5: is a file; report takes the folder of a comparison"),
        (["repair", "local-1.h5", "-o", "local-1.h5"], "repair writes a new file"),
        (["page", "cut.h5"], "cut.h5: the file is cut short"),
        (["report", "nowhere"], "nowhere: holds no run files"),
    ],
)
def test_wrong_use_gives_2_and_one_message(run, gridseam, tmp_path, arguments, says):
    (tmp_path / "text.h5").write_text("no run")
    (tmp_path / "cut.h5").write_bytes(run.read_bytes()[:60_000])
    done = gridseam(*arguments)
    assert done.returncode == 2, done.stdout
    assert says in done.stderr
    assert "Traceback" not in done.stderr
