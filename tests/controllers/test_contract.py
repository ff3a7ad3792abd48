import dataclasses

import numpy as np
import pytest

from controllers.contract import Site, command
from controllers.specimen import small_belief


def site():
    return Site("dso_1.dms", "dms", frozenset({"observe"}), small_belief(), (), 60_000, np.random.default_rng(1))


def test_a_command_carries_duty_life_and_size():
    message = command(site(), "dso_1.f03.s2", "control_voltage", 120.0, device=np.array([3, 4]), q_set_mvar=np.zeros(2))
    assert (message.sender, message.receiver) == ("dso_1.dms", "dso_1.f03.s2")
    assert message.topic == "command/control_voltage"
    assert message.ttl_ms == 120_000
    assert message.priority == 0
    # 40 bytes of TCP/IP, 12 of frame, four numbers of 8
    assert message.size_bytes == 84


def test_life_is_a_quarter_hour_unless_said():
    assert command(site(), "gen.G1", "balance_cell", p_delta_mw=5.0).ttl_ms == 900_000


def test_a_site_cannot_be_changed_and_knows_its_feeder():
    place = site()
    with pytest.raises(dataclasses.FrozenInstanceError):
        place.name = "x"
    assert place.grid.feeder("dso_1.f03").name == "dso_1.f03"
    with pytest.raises(KeyError):
        place.grid.feeder("dso_1.f04")


def test_the_register_finds_devices_that_take_commands():
    devices = small_belief().feeders[0].devices
    assert len(devices.of("load")) == 0
    assert list(devices.kind[devices.of("pv", "ev")]) == ["pv", "ev"] * 6
