"""Fields of log lines that no writer writes are refused, whatever the checksum says."""

import pytest

from selfconsume.results import events
from selfconsume.results import format as fmt

SEGMENT = {
    "lanes": "a", "first": 0, "last": 0, "file": "f", "sha256": "0", "metrics": {}, "seconds": {},
    "layout": {"platform": "cpu", "devices": 2},
}  # fmt: skip


def test_a_layout_holds_texts_and_numbers_only():
    events.check(fmt.SEGMENT, SEGMENT)
    for value in ([1], {"a": 1}, None):
        with pytest.raises(ValueError, match=r"layout\.devices"):
            events.check(fmt.SEGMENT, {**SEGMENT, "layout": {"devices": value}})
