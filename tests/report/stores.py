"""Stores with made-up samples and values, for tests of pages."""

import numpy as np

from selfconsume.metrics.metric_key import metric_key
from selfconsume.results.store import Store
from selfconsume.results.writer import Writer
from selfconsume.study.toml_file import from_tables

TABLES = {
    "study": {"generations": 4, "seeds": 3},
    "source": {"kind": "gaussian", "dim": 2, "n": 20},
    "family": {"kind": "gaussian"},
    "metrics": [{"kind": "frechet"}],
    "axes": {"regime": [{"kind": "mix", "ratio": 0.5}, {"kind": "replace"}]},
}
EVERYTHING = {**TABLES, "metrics": [{"kind": "moments"}, {"kind": "frechet"}, {"kind": "parameters"}]}
NAMES = ["moments.mean_error", "moments.variance", "frechet", "mean.0", "mean.1"]
NAMES += [f"covariance.{i}.{j}" for i in range(3) for j in range(i, 3)]


def filled(path, tables=TABLES, value=None, hostile="", layouts=1, last=None, kept="all", text=None):
    """A store with made-up samples and values: ``value(cell, seed, t)``."""
    study = from_tables(tables)
    rng = np.random.default_rng(0)
    value = value or (lambda cell, seed, t: 1 + cell * t + 0.1 * seed)
    metrics = study.metrics
    with Writer(path) as writer:
        writer.commit(
            "study",
            tables=study.table(),
            text=text,
            cells=[
                {"id": c.id, "labels": {k: f"{v}{hostile}" if hostile else v for k, v in c.labels.items()}}
                for c in study.cells
            ],
            axes=list(study.axes),
            seeds=study.settings.seeds,
            generations=study.settings.generations,
            metrics=[metric_key(metric) for metric in metrics],
            time="2030-01-02T03:04:05+0000" + hostile,
            python="3.11" + hostile,
            versions={"selfconsume": "0.1.0", "jax": "1" + hostile},
            machine={"cores": 2, "device": "cpu" + hostile},
        )
        for i, cell in enumerate(study.cells):
            lanes = writer.add_lanes([(cell.id, seed) for seed in study.seeds])
            arrays, end = {}, study.last if last is None else last
            for t in range(end + 1):
                rows = rng.normal(size=(len(study.seeds), 20, *cell.run.source.shape)).astype(np.float32)
                values = np.array([value(i, seed, t) for seed in study.seeds], np.float32)
                arrays |= {f"{t}/samples": rows, f"{t}/valid": np.ones(rows.shape[:2], bool)}
                arrays[f"{t}/alive"] = ~np.isnan(values)
                for metric in metrics:
                    for name in names_of(metric):
                        arrays[f"{t}/value/{metric_key(metric)}/{name}"] = values
                        if t == 0 and metric.has_noise_floor:
                            arrays[f"{t}/value/{metric_key(metric)}/{name}.floor"] = np.full_like(values, 0.5)
            file, sha = writer.write(lanes, 0, end, "values" if kept == "values" else "arrays", arrays)
            known = {
                metric_key(m): [n + f for n in names_of(m) for f in ("", ".floor")[: 1 + m.has_noise_floor]]
                for m in metrics
            }
            layout = {"platform": "cpu", "device": f"{i % layouts}{hostile}"}
            writer.commit(
                "segment",
                **{"lanes": lanes, "first": 0, "last": end, "file": file, "sha256": sha, "metrics": known},
                **{"kept": kept, "layout": layout, "seconds": {"fit": 1.0, "sample": 0.5}},
            )
    return Store(path)


def names_of(metric):
    kind = type(metric).__name__.lower()
    return [n for n in NAMES if n.startswith(kind) or (kind == "parameters" and n.startswith(("mean", "covariance")))]
