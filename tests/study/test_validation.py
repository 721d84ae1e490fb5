import dataclasses
import json
from typing import Annotated, Literal

import numpy as np
import pydantic
import pytest
from annotated_types import Ge, MinLen

from selfconsume.errors import ConfigError
from selfconsume.families.gaussian import Gaussian
from selfconsume.regimes.mix import Mix
from selfconsume.regimes.real_only import RealOnly
from selfconsume.regimes.window import Window
from selfconsume.sources.gaussian import Gaussian as Source
from selfconsume.study import validation
from selfconsume.types import Number


@dataclasses.dataclass(frozen=True)
class Thing:
    """One line that says what it is.

    More of it.
    """

    needed: int
    share: Annotated[float, Number, Ge(0)] = 1.0
    names: Annotated[tuple[str, ...], MinLen(1)] | None = None
    mode: Literal["a", "b"] = "a"
    on: bool = False


def test_plain_values_become_what_they_are_meant_to_be():
    thing = validation.validated(Thing, {"needed": 3, "share": 2, "names": ["x", "y"], "on": True}, "thing")
    assert thing == Thing(3, 2.0, ("x", "y"), "a", True)
    assert isinstance(thing.share, float)  # so that 2 and 2.0 are the same run
    assert hash(thing) == hash(Thing(3, 2.0, ("x", "y"), "a", True))
    assert validation.validated(Thing, {"needed": 3, "share": np.float64(0.5)}, "thing").share == 0.5


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "thing.needed: missing; give it a value"),
        ({"needed": "3"}, "thing.needed: expected a valid integer, got '3'"),
        ({"needed": True}, "thing.needed: expected a valid integer, got True"),
        ({"needed": 3.5}, "thing.needed: expected a valid integer"),
        ({"needed": None}, "thing.needed: expected a valid integer, got None"),
        ({"needed": 3, "share": False}, "thing.share: expected a valid number, got False"),
        ({"needed": 3, "share": -1}, "thing.share: expected greater than or equal to 0, got -1"),
        ({"needed": 3, "share": float("nan")}, "thing.share: expected a finite number, got nan"),
        ({"needed": 3, "names": "x"}, "thing.names: expected a valid array, got 'x'"),
        ({"needed": 3, "names": [1]}, "thing.names: expected a valid string, got [1]"),
        ({"needed": 3, "names": []}, "thing.names: expected"),
        ({"needed": 3, "mode": "c"}, "thing.mode: expected 'a' or 'b', got 'c'"),
        ({"needed": 3, "on": 1}, "thing.on: expected a valid boolean, got 1"),
        ({"needed": 3, "need": 3}, "thing: unknown 'need'; did you mean 'needed'?"),
        ({"needed": np.arange(3)}, "thing: Object of type ndarray is not JSON serializable"),
    ],
)
def test_anything_else_is_refused_in_one_line(table, message):
    with pytest.raises(ConfigError) as caught:
        validation.validated(Thing, table, "thing")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_numbers_that_are_not_finite_are_found_wherever_they_are():
    with pytest.raises(ConfigError, match=r"thing\.names: expected a finite number, got inf"):
        validation.validated(Thing, {"needed": 3, "names": ["x", float("inf")]}, "thing")


def test_recipes_go_through_tables_and_back():
    for role, recipe in (("regime", Mix((0.5, 1.0))), ("source", Source(n=3)), ("family", Gaussian(temperature=0.5))):
        table = json.loads(json.dumps(validation.table_of(role, recipe)))
        assert validation.recipe(role, table, role) == recipe
        assert validation.recipe(role, recipe, role) == recipe  # a checked copy


def test_labels_show_what_is_not_a_default_or_differs_from_neighbours():
    assert validation.label("regime", RealOnly()) == "real_only"
    assert validation.label("regime", Mix()) == "mix(ratio=1)", "what it is about is always said"
    assert validation.label("regime", Mix(0.5, weight=2.0), omit=["ratio"]) == "mix(weight=2)"
    assert validation.label("regime", Mix(0.25, weight=2.0)) == "mix(ratio=0.25, weight=2)"
    assert validation.label("regime", Mix(), [Mix(), Mix(0.5), Window()]) == "mix(ratio=1)"
    assert validation.label("regime", Window(), [Mix(0.5)]) == "window"


def test_schemas_allow_what_validation_allows():
    schema = validation.kind_schema("regime", "mix")
    assert schema["properties"]["kind"] == {"const": "mix"}
    assert set(schema["properties"]) == {"kind", "ratio", "weight"}
    assert schema["required"] == ["kind"] and schema["additionalProperties"] is False
    assert schema["description"].startswith("Fixed real set plus ``ratio`` times as many")
    assert validation.kind_schema("source", "arrays")["required"] == ["kind", "path"]
    assert validation.summary(Thing) == "One line that says what it is."


def test_strictness_is_pydantics_and_not_ours():
    """The two rules that everything above stands on."""
    adapter = pydantic.TypeAdapter(Thing)
    assert adapter.validate_json('{"needed": 1, "share": 2}', strict=True).share == 2.0
    with pytest.raises(pydantic.ValidationError):
        adapter.validate_json('{"needed": "1"}', strict=True)
