import pytest

from scenarios.load import load
from sims.core.errors import ScenarioError

LAST = 34
"""Line after the small scenario's last."""
EVENTS = 29


def refused(path):
    with pytest.raises(ScenarioError) as caught:
        load(path)
    return [str(p) for p in caught.value.problems]


@pytest.fixture
def says(small, write):
    """Return what is said about lines behind the small scenario."""

    def ask(text):
        return refused(write(f"{small}{text}\n"))

    return ask


@pytest.fixture
def struck(small):
    """Return the small scenario with events behind its only one, which stands in line 29."""
    lines = small.splitlines(keepends=True)

    def give(events):
        return "".join([*lines[:EVENTS], *(f"  - {{{event}}}\n" for event in events), *lines[EVENTS:]])

    return give


@pytest.mark.parametrize(
    ("link", "field", "text"),
    [
        ("from: dms, to: tso, technology: 5g, median: 60 ms, p95: 20 ms", ".p95", "20 is below the median of 60 ms"),
        ("from: dms, to: tso, technology: lte, p95: 20 ms", ".p95", "20 is below the median of 25.0 ms"),
        ("from: dms, to: tso, technology: lte, rate_bit_s: -1", ".rate_bit_s", "-1 must be >= 0"),
        ("from: dms, to: tso, technology: lte, loss: 1.2", ".loss", "1.2 must be <= 1"),
        ("from: dms, to: tso, technology: lte, duplicate: -0.1", ".duplicate", "-0.1 must be >= 0"),
        ("from: dms, to: tso, technology: lte, availability: 2.0, mttr: 1 h", ".availability", "2.0 must be <= 1"),
        ("from: dms, to: tso, technology: lte, queue_packets: -1", ".queue_packets", "-1 must be >= 0"),
        ("from: dms, to: tso, technology: lte, duty: 0.0", ".duty", "0.0 must be > 0"),
        ("from: dms, to: tso, technology: lte, mtbf: 9 d", "", "has 'mtbf' without 'mttr', the mean time to repair"),
        ("from: dms, to: tso, technology: lte, mtbf: 9 d, mttr: 1 h, availability: 0.9", "",
     "names both 'mtbf' and 'availability'; give one of them"),
        ("from: dms, to: tso, technology: ltee", ".technology", "(did you mean lte?)"),
        ("from: dmss, to: tso, technology: lte", ".from",
     "'dmss' is not one of substation | primary | dms | tso | operator | crew, nor a place such as dso_1.dms "
     "(did you mean dms?)"),
        ("from: north.dms, to: dms, technology: lte", "",
     "connects north.dms with dms: name two kinds of places, or two places"),
        ("from: north.dms, to: south.dsm, technology: lte", ".to",
     "'south.dsm' is no place of the network (did you mean south.dms?)"),
        ("from: north.f01.a0, to: north.f01.a99, technology: lte", ".to",
     "'north.f01.a99' is no place of the network (did you mean north.f01."),
    ],
)  # fmt: skip
def test_an_impossible_link_is_named_with_its_line_and_field(says, link, field, text):
    found = says(f"communication:\n  links:\n    - {{{link}}}")
    assert len(found) == 1
    assert found[0].startswith(f"winter.yaml:{LAST + 2} communication.links.0{field}: ")
    assert text in found[0]


@pytest.mark.parametrize(
    ("event", "field", "text"),
    [
        ("kind: link_outage, link: north.dms--tsoo", "link", "'tsoo' is no place of the network (did you mean tso?)"),
        ("kind: link_outage, link: north.dms--south.dms", "link",
         "there is no link between north.dms and south.dms; north.dms is linked to "),
        ("kind: link_outage, link: north.dms", "link", "'north.dms' names no link: write two places"),
        ("kind: link_outage, link: north.dms--tso/geo", "link", "there is no link 'north.dms--tso/geo'"),
        ("kind: drop, link: north.f01--north.dms", "link",
         "there is no link between north.f01 and north.dms; north.f01 is linked to north.i1"),
        ("kind: drop, node: north.dms, probability: 1.5", "probability", "1.5 must be <= 1"),
        ("kind: drop, node: north.f99", "node", "'north.f99' is no place of the network"),
        ("kind: drop, node: north.f01.s999", "node", "'north.f01.s999' is no place of the network"),
        ("kind: delay, node: tso, delay: 1 s", "node", "nothing stands above 'tso'"),
        ("kind: replay, node: north.dms", "delay", "is missing"),
        ("kind: delay, node: north.dms, delay: -1 s", "delay", "'-1 s' is not a duration"),
        ("kind: flood, node: north.crew", "node", "has no rate limit, so nothing can flood it"),
        ("kind: flood, node: north.dms, load: 0.0", "load", "0.0 must be > 0"),
        ("kind: flood, node: north.dms, topic: command", "", "a flood adds messages of its own; it has no 'topic'"),
        ("kind: tamper, node: north.dms", "", "falsifies nothing; give 'bias' or 'replace'"),
        ("kind: tamper, node: north.dms, link: north.dms--tso, bias: {v_pu: 1.0}", "", "names either 'node' or 'link'"),
        ("kind: drop", "", "names either 'node' or 'link'"),
        ("kind: delay, node: north.dms, delay: 1 s, topik: command", "topik", "(did you mean topic?)"),
        ("kind: attack, node: north.dms, use: ./mine.py:Mien", "use",
         "there is no class 'Mien' in mine.py; it has Mine"),
        ("kind: attack, node: north.dms, use: ../mine.py:Mine", "use", "leads out of the scenario's folder"),
        ("kind: attack, node: north.dms, use: os.path:join", "use", "names code outside the scenario's folder"),
        ("kind: link_outage, link: tso>north.dms", "at", "tso>north.dms is down then already (disturbance 2)"),
    ],
)
def test_an_impossible_event_is_named_with_its_line_and_field(struck, write, event, field, text):
    write("class Mine:\n    pass\n", "mine.py")
    other = 'at: "16:00", kind: link_outage, duration: 10 min, link: north.dms--tso'
    found = refused(write(struck([other, f'at: "16:05", duration: 10 min, {event}'])))
    assert len(found) == 1
    assert found[0].startswith(f"winter.yaml:{EVENTS + 2} disturbances.2{'.' if field else ''}{field}: ")
    assert text in found[0]


def test_both_directions_may_be_down_at_once(struck, write):
    links = ("north.dms>tso", "tso>north.dms", "south.dms--tso")
    events = [f'at: "16:00", kind: link_outage, duration: 10 min, link: {link}' for link in links]
    assert len(load(write(struck(events))).disturbances) == 4


@pytest.mark.parametrize(
    ("text", "path", "why"),
    [
        ("random_outages: [{node: north.dmz, mtbf: 9 d, mttr: 1 h}]", "random_outages.0.node", "(did you mean dms?)"),
        ("random_outages: [{link: north.dms--tsso, mtbf: 9 d, mttr: 1 h}]", "random_outages.0.link",
         "(did you mean tso?)"),
        ("random_outages: [{node: tso, mtbf: 9 d}]", "random_outages.0.mttr", "is missing"),
        ("random_outages: [{mtbf: 9 d, mttr: 1 h}]", "random_outages.0", "names either 'node' or 'link'"),
        ("random_outages: [{node: tso, mtbf: 9 d, mttr: 1 h}, {node: tso, mtbf: 8 d, mttr: 1 h}]", "random_outages.1",
         "tso stands here twice"),
        ("acknowledged: [{topic: command}, {topic: command, retries: 1}]", "acknowledged.1.topic",
         "'command' stands here twice"),
        ("acknowledged: [{topic: command, backoff: 0.5}]", "acknowledged.0.backoff", "0.5 must be >= 1"),
        ("store_and_forward: [primery]", "store_and_forward.0", "(did you mean primary?)"),
        ("groups: {desks: [tso, north.dmz]}", "groups.desks.1", "'north.dmz' is no place of the network (did you mean"),
        ("groups: {tso: [north.dms]}", "groups.tso", "'tso' is a place of the network; give the group another name"),
        ("groups: {a.b: [north.dms]}", "groups.a.b", "is no name: a letter, then letters"),
        ("mode: sample", "mode", "'sample' is not one of exact | sampled (did you mean sampled?)"),
        ("{mode: sampled, acknowledged: [{topic: command}]}", "acknowledged",
         "mode: sampled knows no acknowledgements; take mode: exact, or leave them out"),
        ("{mode: sampled, random_outages: [{node: tso, mtbf: 9 d, mttr: 1 h}]}", "random_outages.0",
         "mode: sampled knows no outages but those of links by chance"),
        ("metering: {primary: 90 s}", "metering.primary",
         "90 s is neither a multiple nor a part of the grid step of 1 min"),
        ("metering: {by_exception: {scan: 90 s}}", "metering.by_exception.scan",
         "90 s is neither a multiple nor a part"),
        ("metering: {v_accuracy_percent: 101.0}", "metering.v_accuracy_percent", "101.0 must be <= 100"),
        ("metering: {v_resolution_pu: -1.0}", "metering.v_resolution_pu", "-1.0 must be >= 0"),
        ("metering: {smart_metre: 1 h}", "metering.smart_metre", "(did you mean smart_meter?)"),
    ],
)  # fmt: skip
def test_the_rest_of_the_network_is_checked_alike(says, text, path, why):
    found = says(f"communication: {text}" if text[0] == "{" else f"communication: {{{text}}}")
    assert len(found) == 1
    assert found[0].startswith(f"winter.yaml:{LAST} communication.{path}: ")
    assert why in found[0]


def test_what_only_the_exact_network_can_do_is_named_event_by_event(struck, write):
    events = [f'at: "16:00", node: north.dms, duration: 1 min, kind: {kind}' for kind in ("comms_outage", "drop")]
    text = "communication: {mode: sampled, links: [{from: dms, to: tso, technology: lte, duplicate: 0.1}]}\n"
    found = refused(write(struck(events) + text))
    assert [line.split(": ")[0] for line in found] == [
        f"winter.yaml:{EVENTS + 1} disturbances.1", f"winter.yaml:{EVENTS + 2} disturbances.2",
        f"winter.yaml:{LAST + 2} communication.links.0.duplicate",
    ]  # fmt: skip
    assert all("mode: sampled knows no" in line for line in found)
