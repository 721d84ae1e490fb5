"""Rate, time left and machines of a study, in lines; and a table of the shares of one."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from rich.table import Table

from selfconsume.answers.status import pace_facts
from selfconsume.cli.display import console
from selfconsume.errors import ConfigError
from selfconsume.execution import shares
from selfconsume.execution.budget import duration
from selfconsume.results import pace as paces
from selfconsume.results.pace import Pace
from selfconsume.results.store import Store


def lines(pace: Pace) -> list[str]:
    """Rate and time left of an unfinished study, and what each machine does; empty where nothing is known."""
    if pace.done >= pace.total or pace.seconds_left is None:
        return []
    moment = time.time()
    result = [
        f"{pace.done} of {pace.total} generations of lanes, {pace.per_second:.3g} a second: "
        f"about {duration(pace.seconds_left)} left"
    ]
    if len(pace.machines) > 1:
        result += [
            f"{machine.host}: {machine.generations} since the start, the last {duration(max(moment - machine.latest, 0.1))} ago"
            for machine in pace.machines
        ]
    return result


def show_shares(folder: Path, as_json: bool) -> bool:
    """Prints the progress of the shares in a folder; False if it holds none."""
    paths = shares.folders(folder)
    if not paths:
        return False
    rows = [_share(path) for path in paths]
    count = int(paths[0].name.rpartition("-")[2])
    begun = {row["number"] for row in rows}
    missing = [number for number in range(1, count + 1) if number not in begun]
    total = paces.together([row["pace"] for row in rows if row["pace"]])
    if as_json:
        plain = [{**row, "pace": pace_facts(row["pace"]) if row["pace"] else None} for row in rows]
        print(json.dumps({"shares": plain, "not_begun": missing, **pace_facts(total)}, indent=2))
        return True
    table = Table("share", "machine", "generations of lanes", "a second", "left", "latest commit")
    for row in rows:
        table.add_row(str(row["number"]), row["host"], *_columns(row["pace"], row["problem"]))
    console.show(table)
    is_finished = total.done == total.total and not missing and all(row["pace"] for row in rows)
    for line in lines(total):
        console.say(line)
    if missing:
        numbers = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
        console.say(f"not begun: {console.count(len(missing), 'share')} of {count} ({numbers})")
    state = f"finished; next: selfconsume merge {folder}/share-* --out DIR" if is_finished else "unfinished"
    console.say(f"{folder}: {state}")
    return True


def _share(path: Path) -> dict[str, Any]:
    number = int(path.name.split("-")[1])
    try:
        store = Store(path)
        pace, host = paces.pace(store), store.study["machine"].get("host", "")
    except ConfigError as error:
        return {
            "number": number,
            "directory": str(path),
            "host": "",
            "pace": None,
            "problem": str(error).partition(": ")[2],
        }
    return {"number": number, "directory": str(path), "host": host, "pace": pace, "problem": ""}


def _columns(pace: Pace | None, problem: str) -> tuple[str, str, str, str]:
    if pace is None:
        return problem[:60], "", "", ""
    left = "" if pace.done == pace.total or pace.seconds_left is None else duration(pace.seconds_left)
    latest = f"{duration(max(time.time() - pace.latest, 0.1))} ago" if pace.latest else ""
    return f"{pace.done}/{pace.total}", f"{pace.per_second:.3g}", left, latest
