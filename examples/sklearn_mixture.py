"""How fast does a mixture of scikit-learn lose modes when it is retrained on its own samples, and how much does real data help?

Run: python examples/sklearn_mixture.py            (about a minute; writes results-sklearn/report.html)
Prints the sliced Wasserstein distance to held-out data by regime and generation, averaged over seeds.
"""

import polars as pl
from sklearn.mixture import GaussianMixture

import selfconsume as sc


def main(out="results-sklearn", n=2000, generations=6, seeds=3):
    """Runs the study; returns the mean distance by regime and generation."""
    study = sc.Study(
        source=sc.source("eight_gaussians", n=n),
        family=sc.family(GaussianMixture(n_components=8)),
        axes={"regime": [sc.regime("replace"), sc.regime("mix", ratio=1.0), sc.regime("accumulate")]},
        metrics=[sc.metric("sliced_wasserstein"), sc.metric("mode_coverage")],
        generations=generations,
        seeds=seeds,
    )
    results = sc.run(study, out)
    results.report()
    distance = results.table().filter(pl.col("metric") == "sliced_wasserstein")
    means = distance.group_by("regime", "generation", maintain_order=True).agg(pl.col("value").mean())
    return means.pivot("regime", index="generation", values="value")


if __name__ == "__main__":
    print(main())
