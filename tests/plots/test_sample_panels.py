"""Plots of samples, chosen and scaled by the real data."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from selfconsume.plots import sample_panels

RNG = np.random.default_rng(0)


def pixels(png):
    return imread(io.BytesIO(png), format="png")


def drawn(look, rows, real=None):
    ax = Figure().subplots()
    look.draw(ax, rows, real, "#0072b2")
    return ax


@pytest.mark.parametrize(
    ("real", "kind"),
    [
        (RNG.normal(size=(50, 2)), sample_panels.Scatter),
        (RNG.normal(size=(50, 7)), sample_panels.Scatter),
        (RNG.normal(size=(50, 1)), sample_panels.Histogram),
        (np.eye(4)[RNG.integers(0, 4, 50)], sample_panels.Bars),
        (np.eye(4)[:1], sample_panels.Bars),
        (RNG.integers(0, 255, (9, 8, 8, 1), np.uint8), sample_panels.Images),
        (RNG.integers(0, 255, (9, 6, 5, 3), np.uint8), sample_panels.Images),
        (RNG.normal(size=(9, 4, 4, 4)), sample_panels.Scatter),
        (np.zeros((1, 2)), sample_panels.Scatter),
        (np.zeros((3, 5)), sample_panels.Scatter),
        (np.zeros((3, 1)), sample_panels.Histogram),
    ],
)
def test_every_kind_of_data_has_a_plot(real, kind):
    look = sample_panels.choose_plot(real)
    assert isinstance(look, kind)
    for rows in (real, real[:0]):
        image = pixels(look.png(rows, real, "#0072b2"))
        assert min(image.shape[:2]) > 5
        drawn(look, rows, real)


def test_flat_digits_are_images_if_told():
    digits = RNG.random((30, 64))
    look = sample_panels.choose_plot(digits, image=(8, 8), ink=True, side=3)
    assert look.sheet(digits).shape == (28, 28, 3)


def test_a_sheet_shows_the_images_pixel_by_pixel():
    images = RNG.integers(0, 256, (3, 4, 5, 3)).astype(np.uint8)
    sheet = sample_panels.choose_plot(images, side=2).sheet(images)
    assert np.allclose(sheet[1:5, 7:12], images[1] / 255)
    assert (sheet[6:10, 7:12] == 1.0).all()


def test_ink_turns_grey_images_and_keeps_their_range():
    rows = np.array([[0.0, 1.0, -5.0, np.nan]])
    sheet = sample_panels.Images((2, 2, 1), 1, True).sheet(rows)
    assert np.allclose(sheet[1:3, 1:3, 0], [[1, 0], [1, 1]])


def test_small_images_are_magnified_without_blur():
    images = np.array([[[[0], [255]], [[255], [0]]]], np.uint8)
    image = pixels(sample_panels.choose_plot(images, side=1).png(images))
    assert image.shape[0] >= 200 and set(np.unique(image).tolist()) == {0.0, 1.0}


def test_limits_are_those_of_the_real_data_for_all_panels():
    real = RNG.normal(size=(100, 2)) * [1, 5]
    look = sample_panels.choose_plot(real)
    small, large = (drawn(look, real * scale, real) for scale in (0.01, 100))
    assert small.get_xlim() == large.get_xlim() and small.get_ylim() == large.get_ylim()
    assert small.get_xlim()[0] < real[:, 0].min() and small.get_ylim()[1] > real[:, 1].max()
    (text,) = large.texts
    assert "outside" in text.get_text() and not small.texts


def test_principal_components_are_those_of_the_real_data():
    basis = np.linalg.qr(RNG.normal(size=(6, 6)))[0]
    real = (RNG.normal(size=(400, 6)) * [9, 5, 1, 0.1, 0.1, 0.1]) @ basis + 3
    look = sample_panels.choose_plot(real)
    plane = (real - look.origin) @ look.axes.T
    assert np.allclose(plane.std(axis=0), [9, 5], rtol=0.15)
    assert "First two principal components of the real data (99 %" in look.note


def test_histograms_hold_shares_over_fixed_bins():
    real = RNG.normal(size=(200, 1))
    look = sample_panels.choose_plot(real)
    ax = drawn(look, real)
    assert ax.patches[0].get_data().values.sum() == pytest.approx(1.0)
    assert ax.get_xlim() == drawn(look, real * 0.1, real).get_xlim()
    assert "2.5 times" in look.note


def test_bars_are_frequencies():
    rows = np.eye(3)[[0, 0, 1, 2]]
    heights = [patch.get_height() for patch in drawn(sample_panels.choose_plot(rows), rows).patches]
    assert heights == [0.5, 0.25, 0.25]


def test_sample_grid_has_real_data_first_and_a_row_for_each_cell():
    samples = {name: {t: RNG.normal(size=(20, 2)) for t in (0, 3)} for name in ("mix", "replace")}
    del samples["replace"][3]
    figure = sample_panels.sample_grid(samples, (2,), real=RNG.normal(size=(20, 2)))
    assert len(figure.axes) == 6
    assert [ax.get_title() for ax in figure.axes[:3]] == ["real data", "generation 0", "generation 3"]
    assert figure.axes[0].texts[0].get_text() == "mix"
    without = sample_panels.sample_grid(samples, (2,))
    assert [ax.get_title() for ax in without.axes[:2]] == ["generation 0", "generation 3"]
    figure.savefig(io.BytesIO(), format="png", dpi=40)


def test_sample_grid_without_real_data_begins_with_the_first_cell_that_has_samples():
    samples = {"diverged": {}, "mix": {0: RNG.normal(size=(20, 2))}}
    assert [ax.get_title() for ax in sample_panels.sample_grid(samples, (2,)).axes] == ["generation 0", ""]
