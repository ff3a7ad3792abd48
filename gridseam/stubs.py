"""Files to start from: a scenario that runs, a controller that keeps the contract, and its test."""

from __future__ import annotations

import re
from pathlib import Path

from sims.core.errors import Problem, ScenarioError

STUBS = Path(__file__).parent / "stub"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_MODULE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


def new_scenario(path: Path) -> Path:
    """Write a scenario with comments to `path`, named after the file; it is valid and runs in under a minute.

    Raises
    ------
    ScenarioError
        The file is there already, is no ``.yaml``, cannot be written, or its name is no name for a scenario.
    """
    if path.suffix not in (".yaml", ".yml"):
        raise _refused(path, "a scenario is a .yaml file")
    if not _NAME.fullmatch(path.stem):
        raise _refused(path, "a scenario's name begins with a letter; letters, digits, _ and - follow, at most 64")
    _write({path: _stub("scenario.yaml").replace("NAME", path.stem).replace("FILE", path.name)})
    return path


def new_controller(path: Path) -> tuple[Path, Path]:
    """Write a controller to ``mine.py`` and its test to ``test_mine.py``; the class is called ``Mine``.

    Raises
    ------
    ScenarioError
        One of both files is there already or cannot be written, or the name is no name of a Python module.
    """
    if path.suffix != ".py":
        raise _refused(path, "a controller is a .py file")
    if not _MODULE.fullmatch(path.stem):
        raise _refused(path, "a module's name begins with a letter; letters, digits and _ follow, at most 64")
    test = path.with_name(f"test_{path.name}")
    name = "".join(word[:1].upper() + word[1:] for word in path.stem.split("_"))
    words = {"FILE": path.name, "CLASS": name, "STEM": path.stem}
    texts = {path: _stub("controller.txt"), test: _stub("test_controller.txt")}
    _write({target: _filled(text, words) for target, text in texts.items()})
    return path, test


def _stub(name: str) -> str:
    return (STUBS / name).read_text(encoding="utf-8")


def _filled(text: str, words: dict[str, str]) -> str:
    return re.sub(r"\b(FILE|CLASS|STEM)\b", lambda found: words[found[0]], text)


def _write(texts: dict[Path, str]) -> None:
    """Write all or, where one is there already, none."""
    for path in texts:
        if path.exists():
            raise _refused(path, "is there already; nothing was written")
    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
        except OSError as err:
            raise _refused(path, f"cannot be written: {err.strerror}") from err


def _refused(path: Path, text: str) -> ScenarioError:
    return ScenarioError([Problem(str(path), "", text)])
