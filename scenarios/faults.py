"""What the schema refuses, in words for people: place, field, what is wrong, what would be right."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from scenarios.document import Path_, dotted
from sims.core.errors import Problem, nearest

_WANTED = {
    "int_type": "a whole number", "int_from_float": "a whole number", "float_type": "a number",
    "string_type": "text", "bool_type": "true or false", "tuple_type": "a list", "mapping_type": "a mapping of keys",
    "dict_type": "a mapping of keys", "model_type": "a mapping of keys", "model_attributes_type": "a mapping of keys",
    "finite_number": "a finite number",
}  # fmt: skip
_BOUND = {"greater_than": ("gt", ">"), "greater_than_equal": ("ge", ">="), "less_than": ("lt", "<"),
          "less_than_equal": ("le", "<=")}  # fmt: skip


def problems(
    error: ValidationError, model: type[BaseModel], data: Any, places: Mapping[Path_, str]
) -> list[Problem]:
    """Return one problem for each line of a pydantic error, in the order of the file.

    Parameters
    ----------
    data : object
        What was validated.
    places : mapping of path to str
        Where each part of it stands; a missing field stands where its parent does.
    """
    found: dict[tuple[Path_, str], Problem] = {}
    for line in error.errors(include_url=False):
        path = _path(line["loc"], data)
        text = _text(line, path, model, data)
        if line["type"] == "union_tag_invalid":
            path = (*path, "kind")
        found.setdefault((path, text), Problem(_place(path, places), dotted(path), text))
    paths = [path for path, _ in found]
    kept = [
        problem
        for (path, text), problem in found.items()
        # a list is called too short for want of the entries that are refused themselves
        if not (text.startswith("needs at least") and any(len(p) > len(path) and p[: len(path)] == path for p in paths))
    ]
    return sorted(kept, key=lambda p: _line(p.where))


def _line(where: str) -> tuple[int, str]:
    number = where.rpartition(":")[2]
    return (int(number), "") if number.isdigit() else (1 << 30, where)


def _place(path: Path_, places: Mapping[Path_, str]) -> str:
    for size in range(len(path), -1, -1):
        if path[:size] in places:
            return places[path[:size]]
    return "scenario"


def _path(loc: Sequence[str | int], data: Any) -> Path_:
    """Return `loc` as it stands in the file: without the tags that pydantic adds for unions."""
    path: list[str | int] = []
    for position, part in enumerate(loc):
        here = data
        if isinstance(here, dict) and isinstance(part, int):
            continue  # one entry, written without the list around it
        if isinstance(here, dict) and position and isinstance(loc[position - 1], int) and part == here.get("kind"):
            continue
        if isinstance(here, dict) and part not in here and position + 1 < len(loc) and part in here.values():
            continue
        if part == "[key]" or (path and position + 1 == len(loc) and not isinstance(here, dict | list)):
            continue
        path.append(part)
        if isinstance(here, dict):
            data = here.get(str(part))
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            data = here[part]
        else:
            data = None
    return tuple(path)


def _text(line: Any, path: Path_, model: type[BaseModel], data: Any) -> str:
    kind, value, context = line["type"], line["input"], line.get("ctx", {})
    if kind in ("scenario", "value_error"):
        return str(line["msg"]).removeprefix("Value error, ")
    if kind == "extra_forbidden":
        names = keys_of(model, path[:-1], data)
        return f"is not known here; known are {', '.join(names)}{nearest(str(path[-1]), names)}"
    if kind == "missing":
        return "is missing"
    if kind == "literal_error":
        options = [str(v) for v in _options(model, path, data)]
        return f"'{_short(value)}' is not one of {' | '.join(options)}{nearest(str(value), options)}"
    if kind == "union_tag_invalid":
        options = [tag.strip(" '") for tag in str(context["expected_tags"]).split(",")]
        return f"'{context['tag']}' is not one of {' | '.join(options)}{nearest(context['tag'], options)}"
    if kind == "union_tag_not_found":
        return "kind is missing: what happens?"
    if kind in _BOUND:
        key, sign = _BOUND[kind]
        return f"{_short(value)} must be {sign} {context[key]:g}"
    if kind == "too_short":
        return f"needs at least {context['min_length']} {'entry' if context['min_length'] == 1 else 'entries'}"
    if kind in ("string_too_short", "string_too_long"):
        return "must not be empty" if kind == "string_too_short" else "is too long"
    if kind == "string_pattern_mismatch":
        return f"'{_short(value)}' is no name: a letter, then letters, digits, _ and -, at most 64"
    if kind in _WANTED:
        return f"'{_short(value)}' is not {_WANTED[kind]}" if value is not None else f"is empty; give {_WANTED[kind]}"
    return str(line["msg"])


def _short(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _step(annotation: Any, part: str | int, here: Any) -> Any:
    """Return the annotation of `part` inside `annotation`, None where there is none."""
    for option in _unfold(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel):
            if not _fits(option, here):
                continue
            for name, info in option.model_fields.items():
                if part == (info.alias or name):
                    return info.annotation
        elif get_origin(option) is tuple and isinstance(here, dict):
            return _step(get_args(option)[0], part, here)
        elif get_origin(option) is tuple and isinstance(part, int):
            return get_args(option)[0]
        elif get_origin(option) is Mapping:
            return get_args(option)[1]
    return None


def _fits(model: type[BaseModel], here: Any) -> bool:
    """Tell whether `here` is data of `model`, by its kind where models are told apart by kind."""
    kind = model.model_fields.get("kind")
    return kind is None or not isinstance(here, dict) or here.get("kind") in get_args(kind.annotation)


def _unfold(annotation: Any) -> list[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _unfold(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [option for arg in get_args(annotation) for option in _unfold(arg)]
    return [annotation]


def _annotation(model: type[BaseModel], path: Path_, data: Any) -> tuple[Any, Any]:
    annotation: Any = model
    for part in path:
        annotation = _step(annotation, part, data)
        if isinstance(data, dict):
            data = data.get(str(part))
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            data = None
    return annotation, data


def keys_of(model: type[BaseModel], path: Path_, data: Any = None) -> list[str]:
    """Return the keys that `model` knows at `path`."""
    annotation, here = _annotation(model, path, data)
    if isinstance(here, dict) and get_origin(options := _unfold(annotation)[0]) is tuple:
        annotation = get_args(options)[0]
    return [
        info.alias or name
        for option in _unfold(annotation)
        if isinstance(option, type) and issubclass(option, BaseModel) and _fits(option, here)
        for name, info in option.model_fields.items()
    ]


def _options(model: type[BaseModel], path: Path_, data: Any) -> list[Any]:
    annotation, _ = _annotation(model, path, data)
    options = _unfold(annotation)
    if get_origin(options[0]) is tuple:  # one entry, written without the list around it
        options = _unfold(get_args(options[0])[0])
    return [value for option in options for value in get_args(option)]
