import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from selfconsume.models.nets.augmentation import AUGMENT_DIM, OCTAVES, SHIFT, augment, interpolate

N, SIDE = 600, 16
Y, X = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2


@pytest.fixture(scope="module")
def blobs():
    """Smooth images, off their middle and not symmetric, and what becomes of them."""
    z = 1.6 * np.exp(-((X - 2) ** 2 + (Y + 1) ** 2) / 14) - 1.6 * np.exp(-((X + 3) ** 2 + (Y - 2) ** 2) / 9)
    z = np.repeat(np.float32(z / 2)[None, :, :, None], N, axis=0)
    run = jax.jit(augment, static_argnums=2)
    return z, *map(np.asarray, run(jax.random.key(0), z, 0.3))


def test_an_image_that_is_left_alone_is_unchanged_to_the_bit():
    z = jax.random.uniform(jax.random.key(1), (40, 6, 5, 3), minval=-1.0)
    out, labels = jax.jit(augment, static_argnums=2)(jax.random.key(0), z, 0.0)
    mirrored = np.asarray(labels[:, 0]) == 1
    assert mirrored.any() and not mirrored.all() and not np.asarray(labels[:, 1:]).any()
    np.testing.assert_array_equal(out[~mirrored], z[~mirrored])
    np.testing.assert_array_equal(out[mirrored], z[mirrored][:, :, ::-1])


def test_what_is_told_is_what_was_done(blobs):
    """Each image, made again from its numbers alone: by SciPy's affine map of smooth images, in float64."""
    z, out, labels = blobs
    # Splines and cubic convolution differ by the fourth order of a smooth image's details; borders are left out.
    for image, before, numbers in zip(out[:80], z, np.float64(labels), strict=False):
        mirrored, upset, scale, cos, sin, along, across, right, down = numbers
        angle, stretch, direction = np.arctan2(sin, cos + 1), np.hypot(along, across), np.arctan2(across, along)

        def turn(a):
            """From right to up, where y grows downwards: what the public networks of Karras et al. were labels."""
            return np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])

        errors = []
        for sign in (1, -1):  # a stretch along a direction, or its reverse along the opposite one
            longer = 2 ** (OCTAVES * stretch * sign)
            forth = turn(direction) @ np.diag([longer, 1 / longer]) @ turn(-direction) @ turn(angle)
            forth = forth * 2 ** (OCTAVES * scale) @ np.diag([1 - 2 * mirrored, 1 - 2 * upset])
            back = np.linalg.inv(forth)
            middle, shift = (SIDE - 1) / 2, SHIFT * SIDE * np.array([right, down])
            offset = middle - back @ (middle + shift)
            swap = [[0, 1], [1, 0]]  # SciPy counts rows first
            expected = scipy.ndimage.affine_transform(
                np.float64(before[:, :, 0]), swap @ back @ swap, swap @ offset, order=3, mode="mirror"
            )
            errors.append(np.abs(image[:, :, 0] - expected).max())
        assert min(errors) < 0.02


def test_how_often(blobs):
    _, _, labels = blobs
    done = [labels[:, 0], labels[:, 1], labels[:, 2], labels[:, 4], labels[:, 5], labels[:, 7]]
    # Five binomial standard deviations.
    for kind, expected in zip(done, [0.5, 0.15, *[0.3] * 4], strict=True):
        assert np.mean(kind != 0) == pytest.approx(expected, abs=5 * 0.5 / N**0.5)
    assert labels.shape == (N, AUGMENT_DIM)
    assert len(np.unique(labels[labels[:, 2] != 0, 2])) > 0.2 * N
    # Every other stretch is along the rows.
    assert np.mean(labels[labels[:, 5] != 0, 6] == 0) == pytest.approx(0.5, abs=5 * 0.5 / (0.3 * N) ** 0.5)


def test_a_quarter_turn_goes_from_right_to_up():
    """A bright spot on the right, in images that were turned by about a quarter and nothing else."""
    z = np.repeat(np.float32(np.exp(-((X - 4) ** 2 + Y**2) / 6))[None, :, :, None], 4000, axis=0)
    out, labels = map(np.asarray, jax.jit(augment, static_argnums=2)(jax.random.key(2), z, 0.2))
    alone = ~labels[:, [0, 1, 2, 5, 6, 7, 8]].any(axis=1)
    up, down = (out[alone & (sign * labels[:, 4] > 0.95)].mean(axis=(0, 3)) for sign in (1, -1))
    assert Y[np.unravel_index(up.argmax(), up.shape)] < -3 and Y[np.unravel_index(down.argmax(), down.shape)] > 3


def test_cubic_convolution_is_exact_on_quadratics_and_mirrors_the_border():
    # Keys 1981: the interpolant agrees with a quadratic exactly, away from the border.
    rows, columns = np.mgrid[:8, :7] / 8
    image = jnp.asarray(0.3 * rows**2 - 0.4 * rows * columns + 0.2 * columns - 0.1, jnp.float32)[..., None]
    y, x = jnp.array([[2.25, 3.5, 4.0]]), jnp.array([[3.0, 2.75, 3.125]])
    expected = 0.3 * (y / 8) ** 2 - 0.4 * y * x / 64 + 0.2 * x / 8 - 0.1
    np.testing.assert_allclose(interpolate(image, y, x)[..., 0], expected, atol=1e-6)
    outside = interpolate(image, jnp.array([[-2.0, 9.0, 15.0]]), jnp.array([[-1.0, 7.0, 0.0]]))
    np.testing.assert_array_equal(outside[0], image[jnp.array([2, 5, 1]), jnp.array([1, 5, 0])])
