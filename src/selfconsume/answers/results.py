"""A directory of results: what was measured, judged and sampled in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl

from selfconsume import registry
from selfconsume.analysis import anytime, claims, profile
from selfconsume.analysis import verdicts as directions
from selfconsume.answers import comparison, html, status, summary, verdicts
from selfconsume.answers.text_table import TextTable
from selfconsume.answers.verdicts import Verdicts
from selfconsume.errors import ConfigError
from selfconsume.loop import generation_zero
from selfconsume.models.checkpoints import pytrees
from selfconsume.plots import metric_curves, style
from selfconsume.report import findings
from selfconsume.report import page as reports
from selfconsume.report.stored_samples import LaneSamples
from selfconsume.results import data_units, export_generator, provenance, stored_study
from selfconsume.results import format as fmt
from selfconsume.results import table as tables
from selfconsume.results.format import Lane
from selfconsume.results.store import Store
from selfconsume.types import Generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALL = 10**9


class Results:
    """A directory of results.

    Args:
        out: A directory that `run`, or the command of the same name, has written.

    Raises:
        ConfigError: The directory holds no results.
    """

    def __init__(self, out: str | Path) -> None:
        self.store = Store(out)

    def table(self) -> pl.DataFrame:
        """All measured values, one per row. See `selfconsume.results.table.table`."""
        return tables.table(self.store)

    def summary(self, generation: int = -1, metrics: Sequence[str] | None = None) -> TextTable:
        """One generation (default: the last) as a table of cells and metrics: ``summary().latex()``, ``.markdown()``."""
        return summary.summary(self.store, generation, metrics)

    def measured(self) -> pl.DataFrame:
        """Provenance of the values: numbers of samples and real examples, split, extractor and checksum; one row per kind.

        Columns as in `selfconsume.results.provenance.Measured`. Values with different rows are not comparable.
        """
        return pl.DataFrame(provenance.gather(self.store), schema=list(provenance.Measured._fields), orient="row")

    def status(self) -> dict[str, Any]:
        """Progress as plain values: "finished", "runs" with seeds and generations, "bytes", "layouts", "measured"."""
        return status.status(self.store)

    def verdicts(self) -> Verdicts:
        """The verdict on each cell and metric: stable, drifting, collapsed, ... See `selfconsume.analysis.verdicts`."""
        return verdicts.of_store(self.store)

    def compare(
        self,
        *,
        baseline: Mapping[str, Any] | str | None = None,
        primary: str | None = None,
        margin: float | None = None,
        generation: int | None = None,
    ) -> comparison.Comparison:
        """Paired comparison of each cell with a baseline, by default as the study's ``[compare]`` says.

        ``compare().latex()`` and ``.markdown()`` are tables for a paper. See `selfconsume.analysis.compare`.
        """
        settings = {"baseline": baseline, "primary": primary, "margin": margin, "generation": generation}
        return comparison.of_store(self.store, **settings)

    def claim(self) -> claims.Judged | None:
        """The claim of the study file, held to the results: `holds`, `summary` and an outcome for each check.

        None where the file states none or was not kept, as of a study made in Python or with changes.
        """
        return claims.of_store(self.store)

    def profile(self, *, primary: str | None = None) -> pl.DataFrame:
        """The answers of eight definitions of model collapse for each cell. See `selfconsume.analysis.profile`."""
        return profile.profile_stored(self.store, primary=primary)

    def watch(self, *, primary: str | None = None) -> pl.DataFrame:
        """Whether harm has begun, true at every look at a growing study. See `selfconsume.analysis.anytime`."""
        return anytime.watch_stored(self.store, primary=primary)

    def samples(
        self, generation: int = -1, *, run: str | Mapping[str, Any] | None = None, seed: int | None = None
    ) -> np.ndarray:
        """The valid samples of one generation of one lane, ``(n, *shape)``, in the data's own units.

        Args:
            generation: The generation; negative ones count from the last stored one.
            run: Identity of the run or a unique prefix, or labels such as ``{"regime": "replace"}``; optional for one run.
            seed: The seed; default: the study's first.

        Raises:
            ConfigError: It is not stored, diverged, or was not kept and cannot be sampled again.
        """
        lane, t = self._lane(run, seed, generation)
        rows = LaneSamples(self.store, stored_study.readable(self.store), [lane], ALL).rows(lane, t)
        if isinstance(rows, str):
            raise ConfigError(f"samples: generation {t} of run {lane[0]}, seed {lane[1]}: {rows}")
        return rows

    def sample_table(
        self, generation: int = -1, *, run: str | Mapping[str, Any] | None = None, seed: int | None = None
    ) -> pl.DataFrame:
        """`samples` as a data frame with the columns of the source's table; a category is that of the largest value."""
        rows, lane = self.samples(generation, run=run, seed=seed), self._lane(run, seed, generation)[0]
        return data_units.table(rows, data_units.columns_by_run(self.store).get(lane[0]))

    def generator(
        self, generation: int = -1, *, run: str | Mapping[str, Any] | None = None, seed: int | None = None
    ) -> Generator:
        """The generator of one generation of one lane; arguments as for `samples`.

        Its samples are in training units, decoded where the run has a representation; densities are those of codes.

        Raises:
            ConfigError: It was not kept, or the family needs code or data that this process was not given.
        """
        (identity, lane_seed), t = self._lane(run, seed, generation)
        arrays, _ = export_generator.stored_arrays(self.store, identity, lane_seed, t)
        study, why = stored_study.built(self.store)
        cells = {cell.id: cell for cell in study.cells} if study else {}
        if identity not in cells:
            raise ConfigError(f"generator: run {identity} cannot be built here ({why or 'the latest study lacks it'})")
        structure = generation_zero.fit_structure(cells[identity].run, t).generator
        return cells[identity].run.of_examples(jax.tree.map(jnp.asarray, pytrees.rebuilt(arrays, structure)))

    def plot(
        self,
        metric: str | None = None,
        path: str | Path | None = None,
        *,
        style: str | Path | Mapping[str, Any] = "default",
    ) -> Figure:
        """A metric against the generation: mean over seeds of each cell with its 95 % interval, and the noise floor.

        Args:
            metric: Name of the values; default: the first metric.
            path: Where to save the figure: a .png, .svg or .pdf file.
            style: "paper", matplotlib's settings or a .mplstyle file, see `plots.style.style`.

        Raises:
            ConfigError: There is no such metric or style, or the path cannot be written.
        """
        return plot(self.store, self.table(), metric, path, style)

    def report(self) -> Path:
        """Writes ``report.html`` into the directory and returns its path. See `selfconsume.report.page.write`."""
        return reports.write(self.store, findings=findings.gather(self.store))

    def _lane(self, run: str | Mapping[str, Any] | None, seed: int | None, generation: int) -> tuple[Lane, int]:
        study = self.store.study
        name = _labelled(study, run) if isinstance(run, Mapping) else run
        if name is None and len(study["cells"]) == 1:
            name = study["cells"][0]["id"]
        lane_seed = fmt.seeds_of(study)[0] if seed is None else seed
        identity, t = export_generator.find_run(self.store, name, lane_seed, generation)
        return (identity, lane_seed), t

    def __repr__(self) -> str:
        return f"Results({str(self.store.path)!r})"

    def _repr_html_(self) -> str:
        return html.of_results(self.store)


def plot(
    store: Store,
    frame: pl.DataFrame,
    metric: str | None,
    path: str | Path | None,
    settings: str | Path | Mapping[str, Any],
    axes: Sequence[str] | None = None,
) -> Figure:
    """The curves of a metric of a table of the store's values; see `Results.plot`."""
    names = [stored for stored in frame["metric"].unique(maintain_order=True) if not stored.endswith(fmt.FLOOR)]
    if not names:
        raise ConfigError(f"plot: {store.path} holds no values; add metrics to the study, or run it")
    name = names[0] if metric is None else metric
    if name not in names:
        raise ConfigError(f"plot: no metric {name!r}; {registry.suggest(name, names)}")
    better = directions.directions(store).get(name)
    with style.style(settings):
        figure = metric_curves.metric_curves(frame, name, store.study["axes"] if axes is None else axes, better)
        if path is not None:
            style.save(figure, path, "plot:")
    return figure


def _labelled(study: Mapping[str, Any], labels: Mapping[str, Any]) -> str:
    """The identity of the only run with these labels."""
    for axis in labels:
        if axis not in study["axes"]:
            raise ConfigError(f"run: the study has no axis {axis!r}; {registry.suggest(axis, study['axes'])}")
    cells = [cell for cell in study["cells"] if all(cell["labels"][axis] == value for axis, value in labels.items())]
    if len(cells) != 1:
        values = "; ".join(", ".join(f"{k} = {v}" for k, v in cell["labels"].items()) for cell in study["cells"][:8])
        raise ConfigError(f"run: {len(cells)} runs have the labels {dict(labels)!r}, expected one; there are {values}")
    return cells[0]["id"]
