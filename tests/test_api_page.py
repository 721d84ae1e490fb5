"""docs/api.md names every public name once, with a line, and nothing that is not there."""

import inspect
import re
from pathlib import Path

import pytest

import selfconsume

PAGE = (Path(__file__).parents[1] / "docs" / "api.md").read_text()
ROWS = re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE, re.MULTILINE)


def test_every_public_name_is_on_the_page_once():
    assert sorted(name for name, _ in ROWS) == sorted(selfconsume.__all__)
    assert all(line.endswith(".") and 15 < len(line) < 130 for _, line in ROWS)


@pytest.mark.parametrize("name", selfconsume.__all__)
def test_it_can_be_imported_and_says_what_it_is(name):
    found = getattr(selfconsume, name)
    assert found.__name__.removeprefix("selfconsume.") == name and inspect.getdoc(found)


def test_the_recipes_that_it_shows_are_made():
    shown = re.findall(r"`((?:source|family|regime|curation|representation|metric)\(.+?\)|\w+\.[A-Z]\w+\(.*?\))`", PAGE)
    assert len(shown) == 13
    for text in shown:
        assert eval(text, {name: getattr(selfconsume, name) for name in selfconsume.__all__})
