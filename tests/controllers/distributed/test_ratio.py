import dataclasses

import numpy as np
import pytest

from controllers.distributed.ratio import SharedRatio

LINE = {0: (1,), 1: (0, 2), 2: (1, 3), 3: (2, 4), 4: (3,)}


def agents(**kwargs):
    return {
        i: SharedRatio("consensus/q", {str(j): len(LINE[j]) for j in near}, rest=0.0, low=-1.0, high=1.0, reach=10,
                       release=0.05, **kwargs)
        for i, near in LINE.items()
    }


def rounds(ratios, count, push=0.0, needed=False, lost=lambda rng: False, late=lambda rng: 0, seed=3):
    """Agent 0 pushes and needs; return the letters of each round."""
    rng, flying, sent = np.random.default_rng(seed), [], []
    start = max(max(r.as_of_ms.values(), default=-1) for r in ratios.values()) + 1
    for k in range(start, start + count):
        for due, to, letter in [f for f in flying if f[0] <= k]:
            ratios[to].hear(letter)
            flying.remove((due, to, letter))
        here = 0
        for i, ratio in ratios.items():
            ratio.step(push if i == 0 else 0.0, needed and i == 0)
            for letter in ratio.mail(str(i)):
                here += 1
                if not lost(rng):
                    letter = dataclasses.replace(letter, sent_ms=k)
                    flying.append((k + 1 + late(rng), int(letter.receiver), letter))
        sent.append(here)
    return sent


@pytest.mark.parametrize("dead", [0.002, 0.01, 0.03])
def test_agreement_is_reached_to_within_the_dead_band(dead):
    ratios = agents(dead=dead)
    rounds(ratios, 6, push=0.1, needed=True)
    rounds(ratios, 80, needed=True)
    values = [r.value for r in ratios.values()]
    assert np.ptp(values) <= 2 * dead * (len(ratios) - 1)
    assert min(values) > 0.05


def test_a_wider_dead_band_writes_fewer_letters():
    written = []
    for dead in (0.0, 0.01, 0.03):
        ratios = agents(dead=dead)
        written.append(sum(rounds(ratios, 6, push=0.1, needed=True)) + sum(rounds(ratios, 40, needed=True)))
    assert written[0] > written[1] > written[2]


def test_held_in_agreement_only_the_beat_is_heard():
    ratios = agents()
    rounds(ratios, 6, push=0.1, needed=True)
    sent = rounds(ratios, 120, needed=True)[60:]
    per_round = 2 * (len(LINE) - 1)
    assert np.mean(sent) == pytest.approx(per_round / SharedRatio.BEAT, rel=0.1)


def test_at_rest_everybody_is_silent():
    ratios = agents()
    rounds(ratios, 6, push=0.1, needed=True)
    sent = rounds(ratios, 120)
    assert all(r.value == 0.0 for r in ratios.values())
    assert not any(sent[80:])
    assert not any(rounds(agents(), 20))


def test_a_need_is_held_everywhere_while_it_lasts():
    ratios = agents()
    rounds(ratios, 6, push=0.1, needed=True)
    rounds(ratios, 60, needed=True)
    assert all(r.hold > 0 for r in ratios.values())


def test_lost_and_overtaken_letters_only_delay_the_agreement():
    ratios = agents()
    lost, late = (lambda rng: rng.random() < 0.25), (lambda rng: int(rng.integers(0, 3)))
    rounds(ratios, 6, push=0.1, needed=True, lost=lost, late=late)
    rounds(ratios, 150, needed=True, lost=lost, late=late, seed=8)
    values = [r.value for r in ratios.values()]
    assert np.ptp(values) <= 0.1
    assert min(values) > 0.02, "nobody lets go while one needs it"
