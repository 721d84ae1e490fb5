"""The Python face of the package: recipes by kind name, running a study, reading its results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from selfconsume import config, execute, registry
from selfconsume import report as reports
from selfconsume import table as tables
from selfconsume.lanes import Layout
from selfconsume.store import Store
from selfconsume.study import Study
from selfconsume.types import Family, Metric, Regime, Source


def source(kind: str, **fields: Any) -> Source:
    """A source by its kind name: ``source("eight_gaussians", n=1000)``.

    Raises:
        Problem: No such kind, or a field is unknown or wrong. The same holds for `family`, `regime` and `metric`.
    """
    return _checked("source", kind, fields)


def family(kind: str, **fields: Any) -> Family:
    """A family by its kind name: ``family("gaussian", estimator="unbiased")``."""
    return _checked("family", kind, fields)


def regime(kind: str, **fields: Any) -> Regime:
    """A regime by its kind name: ``regime("mix", ratio=0.5)``."""
    return _checked("regime", kind, fields)


def metric(kind: str, **fields: Any) -> Metric:
    """A metric by its kind name: ``metric("sliced_wasserstein")``."""
    return _checked("metric", kind, fields)


def run(
    study: Study,
    out: str | Path,
    *,
    layout: Layout | None = None,
    tell: Callable[[execute.Progress], None] = lambda progress: None,
) -> Store:
    """Runs what a directory lacks of a study, and opens it. See `selfconsume.execute.execute`."""
    return execute.execute(study, out, layout=layout, tell=tell)


def open(out: str | Path) -> Store:
    """Opens a directory of results for reading.

    Raises:
        Problem: It is not one.
    """
    return Store(out)


def table(results: Store | str | Path) -> pl.DataFrame:
    """The tidy table of a directory of results. See `selfconsume.table.table`."""
    return tables.table(_opened(results))


def report(results: Store | str | Path) -> Path:
    """Writes ``report.html`` into a directory of results and returns its path. See `selfconsume.report`."""
    return reports.write(_opened(results))


def _opened(results: Store | str | Path) -> Store:
    return results if isinstance(results, Store) else Store(results)


def _checked(role: str, kind: str, fields: dict[str, Any]) -> Any:
    return config.validated(registry.find(role, kind), fields, role)
