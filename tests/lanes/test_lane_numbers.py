import dataclasses
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
from annotated_types import Gt

from selfconsume.families.kde import Kde
from selfconsume.lanes import lane_numbers
from selfconsume.sources.gaussian import Gaussian
from selfconsume.types import Number


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Fields of all sorts."""

    n: int = 3
    rate: Annotated[float, Number, Gt(0)] = 1.0
    width: Annotated[float, Number] | Literal["rule"] = "rule"
    decay: Annotated[float, Number] | None = None
    name: str = "x"


def test_only_marked_fields_that_hold_numbers_are_lane_numbers():
    assert lane_numbers.number_names(Recipe) == ("rate", "width", "decay")
    assert lane_numbers.numbers(Recipe()) == {"rate": 1.0}
    assert lane_numbers.numbers(Recipe(width=0.5, decay=0.0)) == {"rate": 1.0, "width": 0.5, "decay": 0.0}
    assert lane_numbers.numbers(Kde()) == {"temperature": 1.0}
    assert lane_numbers.numbers(Kde(bandwidth=2)) == {"bandwidth": 2.0, "temperature": 1.0}


def test_recipes_that_differ_in_numbers_only_share_their_static_part():
    assert lane_numbers.static(Recipe(rate=1.0)) == lane_numbers.static(Recipe(rate=2.0))
    assert hash(lane_numbers.static(Recipe(rate=1.0))) == hash(lane_numbers.static(Recipe(rate=2.0)))
    recipes = [
        Recipe(),
        Recipe(n=4),
        Recipe(name="y"),
        Recipe(width=0.5),
        Recipe(decay=0.5),
        Recipe(width=0.5, decay=0.5),
    ]
    assert len({lane_numbers.static(recipe) for recipe in recipes}) == len(recipes)  # no number is not a number


def test_numbers_are_put_back():
    for recipe in (Recipe(width=0.5), Kde(bandwidth=0.3), Gaussian(n=7, std=2.0)):
        assert lane_numbers.fill(lane_numbers.static(recipe), lane_numbers.numbers(recipe)) == recipe
    assert lane_numbers.fill(recipe, {}) is recipe


def test_traced_numbers_may_be_put_back():
    gradient = jax.grad(lambda rate: lane_numbers.fill(lane_numbers.static(Recipe()), {"rate": rate}).rate ** 2)
    assert gradient(jnp.array(3.0)) == 6.0
