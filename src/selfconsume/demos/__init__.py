"""The demonstration: two small studies on real digits and on a ring of Gaussians, and their report."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from selfconsume import console, report
from selfconsume import study as studies

PAGES = ("digits",)


def run(out: Path) -> None:
    """Runs the demonstration into a directory; run again, it continues or has nothing to do."""
    stores = []
    for page in PAGES:
        with resources.as_file(resources.files("selfconsume.demos") / f"{page}.toml") as path:
            study, text = studies.load(path), path.read_text()
        console.say(text.splitlines()[0].removeprefix("# Question: "))
        stores.append(console.execute(study, out / page, text=text))
        console.final_table(stores[-1])
    console.say(str(report.write(*stores)))
