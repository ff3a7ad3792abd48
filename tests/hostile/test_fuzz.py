"""The loader under thousands of damaged scenarios: it accepts or refuses, and nothing else happens."""

import random

import pytest

from scenarios.load import load
from sims.core.errors import ScenarioError

WORDS = (
    "", "~", "null", "true", "NO", "0", "-1", "1e999", ".nan", ".inf", "0x10", "010", "12:30:45", "60 s", "-60 s", "[]",
    "{}", "[[[[", "}}}}", "&a", "*a", "<<: *a", "!!python/object:os.system", "!x", "? ", "- ", ": ", "|", ">", "'", '"',
    "\t", "\0", "\x1b[2J", "\u202e", "\ud7ff", "\U0001f4a5", "../x", "/etc/passwd", "./winter.yaml", "%YAML 1.1",
    "---", "...", "#", "<script>", "name", "dsos", "variants", "extends: ./winter.yaml", "x" * 3000, "9" * 3000,
)  # fmt: skip


def damaged(rng, text):
    """Return `text` with one to six changes: bytes, words, lines, pieces moved about."""
    data = text
    for _ in range(rng.choice((1, 1, 1, 2, 4, 6))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.randint(1, 30))
        change = rng.randrange(8)
        lines = data.splitlines(keepends=True)
        if change == 0:
            data = data[:at] + rng.choice(WORDS) + data[at:]
        elif change == 1:
            data = data[:at] + data[end:]
        elif change == 2:
            data = data[:at] + rng.choice(WORDS) + data[end:]
        elif change == 3:
            data = data[:at] + chr(rng.randrange(1, 0x2FFF)) + data[at + 1 :]
        elif change == 4 and lines:
            line = rng.randrange(len(lines))
            data = "".join([*lines[:line], *lines[line + 1 :]])
        elif change == 5 and lines:
            data = "".join([*lines, rng.choice(lines)])
        elif change == 6 and lines:
            line = rng.randrange(len(lines))
            key, colon, _ = lines[line].partition(":")
            data = "".join([*lines[:line], f"{key}{colon} {rng.choice(WORDS)}\n", *lines[line + 1 :]])
        elif change == 7 and lines:
            rng.shuffle(lines)
            data = "".join(lines)
        data = data or "x"
    raw = data.encode("utf-8", "surrogatepass")
    return raw[: rng.randrange(1, len(raw) + 1)] if rng.random() < 0.1 else raw


def fuzz(folder, text, count, seed):
    """Load `count` damaged scenarios; return how many were taken and how many refused."""
    taken = refused = 0
    path = folder / "winter.yaml"
    for number in range(count):
        rng = random.Random(f"{seed}.{number}")
        raw = damaged(rng, text)
        path.write_bytes(raw)
        try:
            load(path, rng.choice((None, None, None, "short")))
        except ScenarioError as err:
            refused += all(p.where and p.text for p in err.problems)
        except BaseException as err:
            raise AssertionError(f"input {number} of seed {seed}: {type(err).__name__}: {err}\n{raw!r}") from err
        else:
            taken += 1
    assert [p.name for p in folder.iterdir()] == ["winter.yaml"]
    return taken, refused


def test_three_hundred_damaged_scenarios(home, small):
    taken, refused = fuzz(home, small, 300, "short")
    assert refused > 150
    assert taken > 3


@pytest.mark.validate
def test_ten_thousand_damaged_scenarios(home, small):
    taken, refused = fuzz(home, small, 10_000, "long")
    assert taken + refused == 10_000
