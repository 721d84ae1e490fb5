"""The Python interface: recipes by kind name, running a study, reading its results."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from selfconsume import registry
from selfconsume.answers import notebook
from selfconsume.answers.results import Results
from selfconsume.errors import ConfigError
from selfconsume.execution import run_study
from selfconsume.execution.engine import Engine
from selfconsume.execution.merging import merge as merging
from selfconsume.families.external import python, sklearn
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.sources import arrays, memory
from selfconsume.start_jax import start_jax
from selfconsume.study import recorded_arrays, recorded_study, validation
from selfconsume.study.study import Study
from selfconsume.trackers import feed
from selfconsume.trackers.tracker import Tracker
from selfconsume.types import Curation, Family, Metric, Regime, Representation, Source


def source(data: Any, **fields: Any) -> Source:
    """Real data: by a kind name, from a path, or from memory.

    ``source("eight_gaussians", n=1000)``; ``source("x.npy")``, a table or a folder of pictures; ``source(array)``,
    ``source(data_frame, label="species")``, ``source(dataset)``.

    Args:
        data: The name of a kind; the path of a file or folder; an array of any library, a data frame of pandas or polars, a
            dataset of Hugging Face. Data in memory is copied and kept until the process ends, see `sources.Memory`.
        fields: The fields of the kind. For an array in memory `label` is an array of labels.

    Raises:
        ConfigError: No such kind, or a field is unknown or wrong. The same holds for `family`, `regime` and `metric`.
    """
    if not isinstance(data, str | Path):
        table = memory.recipe_table(data, **fields)
    elif isinstance(data, Path) or (
        data not in registry.kinds("source") and (Path(data).suffix or os.path.exists(data))
    ):
        table = {"kind": _kind_of_file(Path(data)), "path": str(data), **fields}
    else:
        table = {"kind": data, **fields}
    return _checked("source", table.pop("kind"), table)


def _kind_of_file(path: Path) -> str:
    """The kind of source that reads a file or folder, by its suffix."""
    suffix = path.suffix.lower()
    if suffix in arrays.SUFFIXES:
        return "arrays"
    if path.is_file() and suffix not in (".zip", ".tar", ".gz", ".tgz"):
        raise ConfigError(
            f"source: '{path}' ends in '{suffix}', expected {', '.join(arrays.SUFFIXES)} for a table or array, or a folder, "
            ".zip, .tar or .tar.gz of pictures; convert it, or name its kind: source('text', path=...)"
        )
    return "folder"


def family(kind: Any, **fields: Any) -> Family:
    """A family by its kind name, ``family("gaussian", estimator="unbiased")``, an estimator or a class of one's own.

    An estimator, ``family(GaussianMixture(3))``, is an object with scikit-learn's interface, ``fit(X)`` and ``sample(n)``; its
    class and parameters become the fields of kind "sklearn". A class in a module, ``family(my_model.MyModel, width=128)``,
    becomes kind "python", with its file, and the keyword arguments as options.
    """
    if isinstance(kind, str):
        return _checked("family", kind, fields)
    table = python.recipe_of(kind, fields) if isinstance(kind, type) else sklearn.recipe_of(kind) | fields
    return _checked("family", table.pop("kind"), table)


def regime(kind: str, **fields: Any) -> Regime:
    """A regime by its kind name: ``regime("mix", ratio=0.5)``."""
    return _checked("regime", kind, fields)


def curation(kind: str, **fields: Any) -> Curation:
    """A curation by its kind name: ``curation("bradley_terry", choices=4)``."""
    return _checked("curation", kind, fields)


def representation(kind: str, **fields: Any) -> Representation:
    """A representation by its kind name: ``representation("pca", components=32)``."""
    return _checked("representation", kind, fields)


def metric(kind: str, **fields: Any) -> Metric:
    """A metric by its kind name: ``metric("frechet")``, or on features: ``metric("frechet", features="pixels")``."""
    return _checked("metric", kind, fields)


def run(
    study: Study,
    out: str | Path,
    *,
    layout: DeviceLayout | None = None,
    engine: Engine | None = None,
    budget: float | None = None,
    tracker: str | Tracker | None = None,
    on_progress: Callable[[run_study.Progress], None] | None = None,
) -> Results:
    """Runs the generations, seeds and metrics of a study that a directory does not hold yet.

    Args:
        study: The study.
        out: The directory of results; created if it does not exist.
        layout: The devices; default: all local ones.
        engine: Where it is computed; default: in this process. `selfconsume.execution.engines.ray.RayEngine` is a cluster.
        budget: Seconds after which it stops, with a generation's end; default: no limit.
        tracker: "tensorboard", "mlflow", "wandb", ``NAME:PLACE`` or a `Tracker`: takes what is committed; see `track`.
        on_progress: Called with the progress, several times a second at most; default: a bar in notebooks, else silent.

    Raises:
        ConfigError: ``study`` is not a `Study`, or the directory cannot take its results.
    """
    if not isinstance(study, Study):
        raise ConfigError(f"run: expected a Study, got {study!r}; load(path) reads a study file")
    trackers = [] if tracker is None else [tracker]
    with notebook.progress(on_progress) as progress, feed.following(out, trackers, progress) as callback:
        run_study.execute(study, out, layout=layout, engine=engine, budget=budget, on_progress=callback)
    return Results(out)


def merge(directories: Sequence[str | Path], out: str | Path, *, study: Study | None = None) -> Results:
    """Joins directories of results of one study, or of related studies, in another one.

    See `selfconsume.execution.merging.merge.merge`.

    Args:
        directories: The directories, such as the shares of a study; they are not changed.
        out: The directory of all results; more can be merged later.
        study: The study of the result; default: the joint study of all.

    Raises:
        ConfigError: A directory is damaged, two contradict each other, or their runs fill no grid.
    """
    merging.merge(directories, out, study=study)
    return Results(out)


def evaluate(
    real: Any,
    generations: Any,
    out: str | Path,
    *,
    metrics: Sequence[Metric | Mapping[str, Any] | str] | None = None,
    n: int | None = None,
    bootstrap: int = recorded_study.BOOTSTRAP,
    on_progress: Callable[[run_study.Progress], None] | None = None,
) -> Results:
    """Measures samples that another pipeline made, generation by generation, as if a study had run it.

    Args:
        real: The real data: a `source`, the path of a file or folder, or an array or data frame.
        generations: The samples of generation 0, 1, ...: a list of arrays, data frames or paths; a folder with gen_0, gen_1,
            ... or seed_0/gen_0, ...; a pattern such as ``"run/{seed}/{generation}.npy"``; ``{seed: list}``; or any of these by
            the name of the regime, ``{"replace": ..., "mix": ...}``. In the real data's own units.
        out: The directory of results, an ordinary one; more generations, seeds, regimes or metrics are added to it.
        metrics: What is measured: kind names, such as ``"frechet"`` or ``"inception.frechet"``, or metrics; default: distances,
            coverage and memorisation.
        n: Examples of each set that are compared, a fixed random subset of larger sets; default: all, of sets of one size.
        bootstrap: Resamples of the examples, which give the intervals of sequences without seeds; 0: none.
        on_progress: Called with the progress, several times a second at most; default: a bar in notebooks, else silent.

    Raises:
        ConfigError: A set is missing or has another shape, or runs have different seeds, generations or sizes of sets.
    """
    start_jax()
    with tempfile.TemporaryDirectory(prefix="selfconsume-") as folder:
        if isinstance(real, str | os.PathLike):
            real = recorded_study.real_table(Path(real))
        elif not isinstance(real, Source | Mapping):
            real = source(real)
        tables = None if metrics is None else [recorded_study.metric_table(metric) for metric in metrics]
        places = recorded_arrays.places(generations, Path(folder, "generations"))
        study = recorded_study.recorded_study(real, places, tables, n=n, bootstrap=bootstrap)
        with notebook.progress(on_progress) as callback:
            run_study.execute(study, out, on_progress=callback)
    return Results(out)


def track(results: str | Path | Results, tracker: str | Tracker) -> None:
    """Passes everything that a directory of results holds to a tracker; without the network unless the tracker is told so.

    Args:
        results: The results or their directory.
        tracker: "tensorboard", "mlflow" or "wandb", each of which writes to a folder beside the results; ``NAME:PLACE`` for
            another folder, tracking URI or project; or a `Tracker` of your own.

    Raises:
        ConfigError: There is no such tracker, or its library is not installed.
    """
    feed.replay(results.store.path if isinstance(results, Results) else results, tracker)


def load_results(out: str | Path) -> Results:
    """The results in a directory that `run` has written."""
    return Results(out)


def _checked(role: str, kind: str, fields: dict[str, Any]) -> Any:
    start_jax()  # the next line of a notebook may draw from it
    return validation.recipe(role, {"kind": kind, **fields}, role)
