"""The demonstration: two small studies, on real digits and on a ring of Gaussians, and one report of both."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from selfconsume.cli import console
from selfconsume.report import findings, tabs
from selfconsume.report import page as report
from selfconsume.study import toml_file as studies

PAGES = {"digits": "Digits, Gaussian mixture", "ring": "Eight Gaussians, flow matching"}


def run(out: Path) -> None:
    """Runs the demonstration into a directory; run again, it continues or has nothing to do."""
    reports = {}
    for page, name in PAGES.items():
        with resources.as_file(resources.files("selfconsume.cli") / "demos" / f"{page}.toml") as path:
            study, text = studies.load(path), path.read_text()
        console.say(text.splitlines()[0].removeprefix("# Question: "))
        store = console.execute(study, out / page, text=text)
        console.final_table(store)
        reports[name] = report.write(store, findings=findings.gather(store))
    console.say(f"the report: {tabs.bind(reports, out / report.FILE)}")
