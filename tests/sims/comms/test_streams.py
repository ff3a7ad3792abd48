from hashlib import blake2b

import numpy as np

from sims.comms.streams import Draws, stream


def test_a_stream_depends_on_seed_name_and_purpose_only():
    def draw(*key):
        return stream(*key).integers(0, 2**62, 4).tolist()

    base = draw(1, "a--b", "latency")
    assert draw(1, "a--b", "latency") == base
    others = [(2, "a--b", "latency"), (1, "a--c", "latency"), (1, "a--b", "loss"), (1, "a--", "blatency")]
    assert base not in [draw(*key) for key in others]


def test_first_numbers_are_pinned_across_processes_and_versions():
    assert stream(1, "a--b", "latency").integers(0, 1000, 3).tolist() == [873, 470, 87]


def test_a_block_of_draws_is_the_same_whatever_was_drawn_before():
    def first(draws, *place):
        return draws.block(*place).integers(0, 2**62, 4).tolist()

    draws = Draws(1)
    base = first(draws, "a--b", "latency", 3)
    others = [first(draws, *place) for place in (("a--b", "latency", 2), ("a--b", "loss", 3), ("a--c", "latency", 3))]
    assert base not in [*others, first(Draws(2), "a--b", "latency", 3)]
    draws.block("a--b", "latency", 3).standard_normal(1001)
    assert first(draws, "a--b", "latency", 3) == first(Draws(1), "a--b", "latency", 3) == base


def test_draws_follow_the_published_generator():
    # the block is the second word of the counter, the digest of the three texts the key
    key = int.from_bytes(blake2b(b"7\0a--b\0loss", digest_size=16).digest(), "little")
    theirs = np.random.Generator(np.random.Philox(key=key, counter=5 << 64)).geometric(1e-3, 20)
    assert Draws(7).block("a--b", "loss", 5).geometric(1e-3, 20).tolist() == theirs.tolist()


def test_blocks_of_many_links_are_independent():
    draws = Draws(3)
    z = np.array([draws.block(f"s{i}--p", "latency", i % 2).standard_normal(64) for i in range(4000)])
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert abs(z.var() - 1) < 4 * np.sqrt(2 / z.size)
    assert abs((z[1:] * z[:-1]).mean()) < 4 / np.sqrt(z.size)
