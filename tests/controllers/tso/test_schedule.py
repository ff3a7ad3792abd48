from controllers.tso.schedule import Schedule


def test_schedule_by_step_and_name():
    wishes = Schedule({"a": [1.0, 1.02], "b": 0.99}, 900.0, 1.01)
    assert [wishes.at("a", t) for t in (0, 899, 900, 1800)] == [1.0, 1.0, 1.02, 1.0]
    assert wishes.at("b", 5000) == 0.99
    assert wishes.at("c", 0) == 1.01
    assert Schedule(None, 900.0, 1.01).at("c", 0) == 1.01
