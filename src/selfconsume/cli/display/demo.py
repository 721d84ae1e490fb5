"""The demonstration: two small studies, on real digits and on two moons, and one report of both."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from selfconsume.cli.display import console, final_table, study_run
from selfconsume.report import findings, page, tabs
from selfconsume.study import toml_file

PAGES = {"digits": "Digits, Gaussian mixture", "moons": "Two moons, flow matching"}


def run(out: Path) -> None:
    """Runs the demonstration into a directory; run again, it continues or has nothing to do."""
    reports = {}
    for name, title in PAGES.items():
        text = (resources.files("selfconsume.cli") / "demos" / f"{name}.toml").read_text(encoding="utf-8")
        console.say(toml_file.question(text))
        store = study_run.execute(toml_file.parse(text, name), out / name, text=text)
        final_table.show(store)
        reports[title] = page.write(store, findings=findings.gather(store))
    console.say(f"the report: {tabs.bind(reports, out / page.FILE)}")
