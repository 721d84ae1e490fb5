"""What holds for every recipe, whatever its role: it is its own configuration."""

import dataclasses
import json

import pydantic
import pytest

from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.lanes import lane_numbers
from selfconsume.models.external.host_family import HostFamily
from selfconsume.study import validation

KINDS = [(role, kind) for role in registry.roles() for kind in registry.kinds(role)]


@pytest.mark.parametrize(("role", "kind"), KINDS)
def test_a_recipe_is_a_frozen_dataclass_of_plain_values(tiny, role, kind):
    recipe = tiny(role, kind)
    assert isinstance(recipe, registry.ROLES[role])
    assert dataclasses.is_dataclass(recipe)
    assert recipe.__dataclass_params__.frozen
    assert hash(recipe) == hash(dataclasses.replace(recipe))
    assert recipe == dataclasses.replace(recipe)
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.anything = 1
    for field in dataclasses.fields(recipe):
        assert isinstance(getattr(recipe, field.name), int | float | str | bool | tuple | None)
    assert "__post_init__" not in vars(type(recipe))  # tracing rebuilds recipes with traced numbers
    assert "/" not in repr(dataclasses.replace(recipe)) or hasattr(recipe, "path") or isinstance(recipe, HostFamily)


@pytest.mark.parametrize(("role", "kind"), KINDS)
def test_the_first_line_of_its_docstring_says_what_it_is(role, kind):
    cls = registry.find(role, kind)
    line = validation.summary(cls)
    assert 20 < len(line) < 130
    assert line.endswith(".")
    assert not line.startswith(cls.__name__ + "(")  # what dataclasses write if nobody else does
    documented = "".join(base.__doc__ or "" for base in cls.__mro__ if dataclasses.is_dataclass(base))
    for field in dataclasses.fields(cls):
        assert f"    {field.name}: " in documented or field.name in documented, f"{field.name} is not documented"


@pytest.mark.parametrize(("role", "kind"), KINDS)
def test_it_goes_through_a_study_file_and_back(tiny, role, kind):
    recipe = tiny(role, kind)
    table = json.loads(json.dumps(validation.table_of(role, recipe)))
    assert table["kind"] == kind
    assert validation.recipe(role, table, role) == recipe
    assert validation.recipe(role, recipe, role) == recipe
    with pytest.raises(ConfigError, match=f"^{role}: unknown 'nonsense'"):
        validation.recipe(role, {**table, "nonsense": 1}, role)


@pytest.mark.parametrize(("role", "kind"), KINDS)
def test_its_schema_names_every_field(role, kind):
    schema = validation.kind_schema(role, kind)
    json.dumps(schema)
    cls = registry.find(role, kind)
    known = {"features"} if validation.takes_features(role, cls) else set()
    assert set(schema["properties"]) == {"kind", *(field.name for field in dataclasses.fields(cls))} | known
    required = [field.name for field in dataclasses.fields(cls) if field.default is dataclasses.MISSING]
    assert schema["required"] == ["kind", *required]
    pydantic.TypeAdapter(cls)


@pytest.mark.parametrize(("role", "kind"), KINDS)
def test_every_field_is_checked(tiny, role, kind):
    """No field takes a text for a number, nor anything for a text."""
    recipe = tiny(role, kind)
    for field in dataclasses.fields(recipe):
        value = getattr(recipe, field.name)
        wrong = {"x": 1} if isinstance(value, str | None) else "not a number"
        with pytest.raises(ConfigError, match=rf"^{role}\.{field.name}: expected "):
            validation.recipe(role, {**validation.table_of(role, recipe), field.name: wrong}, role)


@pytest.mark.parametrize(("role", "kind"), KINDS)
def test_its_lane_numbers_can_be_taken_out_and_put_back(tiny, role, kind):
    recipe = tiny(role, kind)
    numbers = lane_numbers.numbers(recipe)
    assert lane_numbers.fill(lane_numbers.static(recipe), numbers) == recipe
    doubled = lane_numbers.fill(recipe, {name: 2 * value + 1 for name, value in numbers.items()})
    assert lane_numbers.static(doubled) == lane_numbers.static(recipe)
    assert hash(lane_numbers.static(doubled)) == hash(lane_numbers.static(recipe))
