from sims.comms.streams import stream


def test_a_stream_depends_on_seed_name_and_purpose_only():
    def draw(*key):
        return stream(*key).integers(0, 2**62, 4).tolist()

    base = draw(1, "a--b", "latency")
    assert draw(1, "a--b", "latency") == base
    others = [(2, "a--b", "latency"), (1, "a--c", "latency"), (1, "a--b", "loss"), (1, "a--", "blatency")]
    assert base not in [draw(*key) for key in others]


def test_first_numbers_are_pinned_across_processes_and_versions():
    assert stream(1, "a--b", "latency").integers(0, 1000, 3).tolist() == [873, 470, 87]
