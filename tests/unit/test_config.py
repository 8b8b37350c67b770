"""Protocols: closed, frozen, and loud about mistakes."""

from __future__ import annotations

import pytest
import yaml
from pydantic import ValidationError

from tomosurf.config import Protocol, load_protocol, parse, protocol_names
from tomosurf.errors import ConfigError, UnknownNameError
from tomosurf.registry import EXPORTERS


def definition() -> dict:
    return load_protocol("ct-bone").model_dump(mode="json")


@pytest.mark.parametrize("name", protocol_names())
def test_every_shipped_protocol_is_sound(name):
    protocol = load_protocol(name)
    assert protocol.name == name
    assert set(protocol.exports) <= set(EXPORTERS.names())
    if protocol.segment.method == "threshold":
        segments = {segment.name for segment in protocol.segment.segments}
        assert set(protocol.refine) <= segments
        assert set(protocol.field_of_view) <= segments


def test_paired_structures_are_never_cut_to_the_largest_piece():
    assert load_protocol("ct-lungs").refine["lungs"].keep == "all"


def test_a_protocol_round_trips_and_its_digest_means_its_meaning(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("# a comment\n" + yaml.safe_dump(definition()))
    assert load_protocol(str(path)).digest() == load_protocol("ct-bone").digest()
    changed = {**definition(), "title": "Else"}
    assert parse(Protocol, changed, "x").digest() != load_protocol("ct-bone").digest()


def test_protocols_are_frozen():
    with pytest.raises(ValidationError):
        load_protocol("ct-bone").title = "other"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"colour": "red"}, "colour"),
        ({"series": {"modality": "CT", "min_slices": 0}}, "series.min_slices"),
        ({"segment": {"method": "magic"}}, "segment"),
        ({"name": "../etc"}, "name"),
        ({"refine": {"bone": {"keep": 0}}}, "refine.bone.keep"),
    ],
)
def test_a_mistake_is_named_with_its_place(change, place):
    with pytest.raises(ConfigError, match=place):
        parse(Protocol, {**definition(), **change}, "mine.yaml")


def test_a_halfway_level_needs_ordered_bounds():
    wrong = definition()
    wrong["segment"]["segments"][0]["level"] = {"lowest": 5, "highest": 5}
    with pytest.raises(ConfigError, match="lowest must be below"):
        parse(Protocol, wrong, "mine.yaml")


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(UnknownNameError, match="ct-bone"):
        load_protocol("ct-bones")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [")
    with pytest.raises(ConfigError, match="not a readable YAML"):
        load_protocol(str(broken))
