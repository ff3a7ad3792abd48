"""A reference to a user's controller or key figure, checked without running a line of it."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
from pathlib import Path

from sims.core.errors import nearest

GROUP = "gridseam.controllers"
_FORM = "write ./file.py:Class or package.module:Class"


def fault(reference: str, folder: Path) -> str:
    """Return why `reference` names no class, empty where it does.

    Parameters
    ----------
    reference : str
        ``./file.py:Class`` (relative to `folder`), ``package.module:Class``, or an entry point of the group
        ``gridseam.controllers``.
    """
    place, colon, name = reference.rpartition(":")
    if not colon:
        points = [point.name for point in importlib.metadata.entry_points(group=GROUP)]
        if reference in points:
            return ""
        return f"'{reference}' names no controller: {_FORM}{nearest(reference, points)}"
    if not name.isidentifier():
        return f"'{name}' is not the name of a class: {_FORM}"
    if place.endswith(".py"):
        path = folder / place
        if not path.is_file():
            beside = sorted(p.name for p in path.parent.glob("*.py")) if path.parent.is_dir() else []
            return f"there is no file '{place}' beside the scenario{nearest(path.name, beside)}"
        return _in_file(path, name)
    if not all(part.isidentifier() for part in place.split(".")):
        return f"'{place}' is neither a .py file nor a module: {_FORM}"
    found = _module_file(place)
    return _in_file(found, name) if isinstance(found, Path) else found


def function_fault(reference: str, folder: Path) -> str:
    """Return why `reference` names no function of a file beside the scenario, empty where it does."""
    place, _, name = reference.rpartition(":")
    path = folder / place
    if not place.endswith(".py") or not name.isidentifier():
        return "write it as ./file.py:function"
    if not path.is_file():
        return f"there is no file '{place}' beside the scenario"
    tree = _parsed(path)
    if isinstance(tree, str):
        return tree
    functions = sorted(n.name for n in tree.body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_"))
    known = f"; it has {', '.join(functions)}" if functions else ""
    if name in {*functions, *_names(tree)}:
        return ""
    return f"there is no function '{name}' in {path.name}{known}{nearest(name, functions)}"


def _parsed(path: Path) -> ast.Module | str:
    """Return the module in a file, or why it is none."""
    try:
        return ast.parse(path.read_bytes(), filename=path.name)
    except SyntaxError as err:
        return f"{path.name}:{err.lineno} is not Python: {err.msg}"
    except (RecursionError, MemoryError):
        return f"{path.name} is nested too deep to be read"
    except (OSError, ValueError) as err:
        return f"{path.name} cannot be read: {err}"


def _in_file(path: Path, name: str) -> str:
    tree = _parsed(path)
    if isinstance(tree, str):
        return tree
    names = _names(tree)
    if name in names:
        return ""
    classes = sorted(n for n, is_class in names.items() if is_class)
    known = f"; it has {', '.join(classes)}" if classes else "; it defines no class"
    return f"there is no class '{name}' in {path.name}{known}{nearest(name, classes)}"


def _names(tree: ast.Module) -> dict[str, bool]:
    """Return the names bound at the top of a module, and whether each is a class defined there."""
    found: dict[str, bool] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = True
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name.split(".", 1)[0]: False for alias in node.names}
        elif isinstance(node, ast.Assign):
            found |= {target.id: False for target in node.targets if isinstance(target, ast.Name)}
    return found


def _module_file(module: str) -> Path | str:
    """Return the file of `module` found without importing it or its parents, or why there is none."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return f"there is no module '{top}' in this Python environment"
    here = Path(spec.origin) if spec.origin else None
    folders = [Path(p) for p in spec.submodule_search_locations or ()]
    for part in rest:
        candidates = [(f / f"{part}.py", f / part) for f in folders]
        here = next((file for file, _ in candidates if file.is_file()), None)
        if here is None:
            here = next((f / "__init__.py" for _, f in candidates if (f / "__init__.py").is_file()), None)
        folders = [f for _, f in candidates if f.is_dir()]
        if here is None and not folders:
            return f"there is no module '{module}': '{part}' is missing"
    if here is None or here.suffix != ".py":
        return f"'{module}' is not a Python file in which a class can stand"
    return here
