"""An independent loop in NumPy: nothing but sampling and fitting, many runs at once."""

import numpy as np
import pytest


def retrain(
    *,
    generations,
    n,
    m,
    runs=20_000,
    seed=0,
    keep="mixed",
    fresh=False,
    weight=None,
    budget=None,
    estimator="ml",
    initial="fit",
    temperature=1.0,
    correction=0.0,
    noise=np.random.Generator.standard_normal,
):
    """Means, variances and the first real sample's mean, (generations + 1, runs) each, for a location-scale family.

    ``keep``: "replace" trains on m rows of the latest generation, "mixed" on n real rows as well, "accumulate" on all so
    far. ``noise`` draws the standardised shape of both the truth and the model.
    """
    rng = np.random.default_rng(seed)

    def fit(x, w):
        w = w / w.sum()
        mean = x @ w
        variance = (x - mean[:, None]) ** 2 @ w
        return mean, variance / (1 - w @ w) if estimator == "unbiased" else variance

    real = noise(rng, (runs, n))
    mean, variance = fit(real, np.ones(n)) if initial == "fit" else (np.zeros(runs), np.ones(runs))
    path, pool = [(mean, variance)], real
    for _ in range(generations):
        own = mean[:, None] + np.sqrt(temperature * variance)[:, None] * noise(rng, (runs, m))
        replaced = rng.random((runs, m)) < correction / (1 + correction)
        own = np.where(replaced, noise(rng, (runs, m)), own)
        if keep == "accumulate":
            pool = np.concatenate([pool, own], axis=1)
            used = pool
            if budget is not None:
                rank = rng.random(pool.shape).argsort(axis=1)[:, :budget]
                used = np.take_along_axis(pool, rank, axis=1)
            mean, variance = fit(used, np.ones(used.shape[1]))
        elif keep == "replace":
            mean, variance = fit(own, np.ones(m))
        else:
            rows = noise(rng, (runs, n)) if fresh else real
            share = n / (n + m) if weight is None else weight
            w = np.concatenate([np.full(n, share / max(n, 1)), np.full(m, (1 - share) / max(m, 1))])
            mean, variance = fit(np.concatenate([rows, own], axis=1), w)
        path.append((mean, variance))
    means, variances = (np.stack(column) for column in zip(*path, strict=True))
    return means, variances, real.sum(axis=1) / max(n, 1)


def agree(samples, expected, *, errors=4.5):
    """Whether means over the last axis lie within so many standard errors of what is expected."""
    error = samples.std(axis=-1) / np.sqrt(samples.shape[-1])
    np.testing.assert_array_less(np.abs(samples.mean(axis=-1) - expected), errors * error + 1e-12)


@pytest.fixture(scope="session", name="retrain")
def retrain_fixture():
    return retrain


@pytest.fixture(scope="session", name="agree")
def agree_fixture():
    return agree
