import dataclasses

import numpy as np
import pytest

from controllers.distributed.congestion import ConsensusCurtailment
from controllers.distributed.picture import picture_of
from controllers.distributed.voltage import ConsensusVoltVar


@pytest.fixture
def seated(town):
    return next(c for c in town([ConsensusVoltVar]).of(ConsensusVoltVar) if not c.area.leads)


def nodes(frames):
    return [frame.node for frame in frames]


def test_a_look_takes_what_hangs_there_once_and_what_came_by_mail(seated, physics):
    world, picture = physics(v0=1.01), picture_of(seated.site, seated.area)
    number = seated.area.number
    own, node = world.own(number, 60_000), int(seated.area.nodes[-1])
    picture.mail.append(own)
    picture.look([world.secondary(node, 60_000)])
    assert picture.mail == []
    assert picture.own is own
    assert picture.count == 1
    below = float(world.v[node]) - float(own.values["v_pu"])
    assert picture.volts.lowest_pu == pytest.approx(own.values["v_pu"] + min(below, 0.0))
    picture.look()
    assert picture.count == 1


def test_each_reader_finds_what_is_new_to_it(seated, physics):
    world, picture = physics(v0=1.01), picture_of(seated.site, seated.area)
    picture.look([world.secondary(node, 0) for node in (2, 3, 4)])
    assert nodes(picture.frames_since(0)) == [4, 3, 2]
    assert nodes(picture.frames_since(3)) == []
    newer = world.secondary(3, 900_000)
    picture.look([newer])
    told = newer.values
    assert list(picture.frames_since(3)) == [
        (newer.sender, 3, told["v_pu"], told["p_mw"], told["q_mvar"], told["der_avail_mw"], told["der_mw"])
    ]
    assert nodes(picture.frames_since(0)) == [3, 4, 2], "of each node the newest only"


def test_a_number_may_come_as_an_array_of_one(seated, physics):
    world, picture = physics(v0=1.01), picture_of(seated.site, seated.area)
    plain = world.secondary(3, 0)
    arrays = {name: np.array([value]) for name, value in plain.values.items()}
    picture.look([plain])
    (first,) = picture.frames_since(0)
    picture.look([dataclasses.replace(plain, values=arrays)])
    (again,) = picture.frames_since(1)
    assert again == first
    assert {type(value) for value in again[2:]} == {float}


def test_the_duties_of_a_place_look_at_one_picture(seated):
    site = dataclasses.replace(seated.site, settings={**seated.site.settings, "shared": {}})
    one, other = ConsensusVoltVar(site), ConsensusCurtailment(site)
    assert one.board is other.board is picture_of(site, one.area)
