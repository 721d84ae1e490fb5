import numpy as np
import pytest

from selfconsume.theory.closed_forms import mean_error, regression


@pytest.mark.parametrize("keep", ["replace", "accumulate"])
@pytest.mark.parametrize("design", ["same", "fresh"])
def test_against_sampling(agree, keep, design):
    rng = np.random.default_rng(0)
    runs, d, rows, noise, generations = 4000, 3, 12, 0.5, 4
    x = rng.standard_normal((runs, rows, d))
    gram, moment = np.zeros((runs, d, d)), np.zeros((runs, d))
    w, errors = np.ones((runs, d)), []
    for g in range(generations):
        if design == "fresh" and g:
            x = rng.standard_normal((runs, rows, d))
        y = np.einsum("rtd,rd->rt", x, w) + noise * rng.standard_normal((runs, rows))
        keep_old = keep == "accumulate"
        gram = keep_old * gram + x.transpose(0, 2, 1) @ x
        moment = keep_old * moment + np.einsum("rtd,rt->rd", x, y)
        w = np.linalg.solve(gram, moment[..., None])[..., 0]
        errors.append(((w - 1.0) ** 2).sum(axis=1))
    g = np.arange(generations)
    if keep == "replace":
        expected = regression.replace_error(g, d, rows, noise=noise)
    else:
        expected = regression.accumulate_error(g, d, rows, noise=noise, design=design)
    agree(np.stack(errors), expected)


@pytest.mark.parametrize(("copies", "weight"), [(1, 1.0), (2, 0.75)])
def test_mixed_with_real_labels_against_sampling(agree, copies, weight):
    rng = np.random.default_rng(0)
    runs, d, rows, noise, generations = 6000, 3, 12, 0.5, 4
    x = rng.standard_normal((runs, rows, d))
    gram = x.transpose(0, 2, 1) @ x

    def moment(w):
        return np.einsum("rtd,rt->rd", x, np.einsum("rtd,rd->rt", x, w) + noise * rng.standard_normal((runs, rows)))

    real = moment(np.ones((runs, d)))
    w, errors = np.linalg.solve(gram, real[..., None])[..., 0], []
    for _ in range(generations):
        errors.append(((w - 1.0) ** 2).sum(axis=1))
        own = weight * sum(moment(w) for _ in range(copies))
        w = np.linalg.solve(gram, (real + own)[..., None])[..., 0] / (1 + copies * weight)
    options = {"ratio": copies * weight, "weight": weight, "noise": noise}
    agree(np.stack(errors), regression.mixed_error(np.arange(generations), d, rows, **options))
    assert regression.mixed_error(60, d, rows, **options) == pytest.approx(
        regression.mixed_error(np.inf, d, rows, **options), rel=1e-9
    )


def test_mixed_is_the_universal_factor():
    """Of unweighted rows; at ratio 1 in the end 4/3 of one fit."""
    for ratio in (0.25, 1.0, 3.0):
        values = regression.mixed_error(np.arange(5), 10, 50, ratio=ratio) / regression.least_squares_error(10, 50)
        np.testing.assert_allclose(values, mean_error.mixed_factor(np.arange(5), ratio=ratio), rtol=1e-12)


def test_the_same_design_bounds_a_fresh_one():
    g = np.arange(50)
    same, fresh = (regression.accumulate_error(g, 10, 50, design=design) for design in ("same", "fresh"))
    assert same[0] == fresh[0] and (same[1:] > fresh[1:]).all()
    assert same[-1] < np.pi**2 / 6 * same[0]


def test_too_few_rows():
    with pytest.raises(ValueError, match="rows > d"):
        regression.least_squares_error(10, 11)
