"""Picture files: which are read, in which order, cut and resized by which rule, and what is refused."""

import io
import json
import os
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from selfconsume.errors import ConfigError
from selfconsume.sources.files import pictures

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def noise(height=6, width=6, channels=3):
    return RNG.integers(0, 256, (height, width, channels), dtype=np.uint8)


def encoded(picture, kind="png", **options):
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)
    data = io.BytesIO()
    picture.save(data, kind, **options)
    return data.getvalue()


def folder(files, path="x"):
    for name, content in files.items():
        place = Path(path, name)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else encoded(content))
    return path


def archive(files, path="x.zip"):
    with zipfile.ZipFile(path, "w") as found:
        for name, content in files.items():
            found.writestr(name, content if isinstance(content, bytes) else encoded(content))
    return path


def read(path, side=None, channels=3, resample="lanczos", labels_from="file", expected=None):
    return pictures.read(path, side, channels, resample, labels_from, expected)


@pytest.mark.parametrize("pack", [folder, archive])
def test_pictures_are_read_in_the_order_of_their_names(pack):
    images = {name: noise() for name in ("b/2.png", "a.PNG", "b/10.png", "c.webp")}
    files = {
        **images,
        "c.webp": encoded(images["c.webp"], "webp", lossless=True),
        "notes.txt": b"no picture",
        "d.bmp": b"BM",
        "e.BMP": b"BM",
    }
    found = read(pack(files))
    assert found.notes == ("skipped 3 files of other kinds (2 .bmp, 1 .txt)",)
    assert found.examples.dtype == np.uint8 and found.labels is None and found.n_held_out is None
    np.testing.assert_array_equal(found.examples, [images[name] for name in ("a.PNG", "b/10.png", "b/2.png", "c.webp")])


def test_more_pictures_than_are_decoded_at_once():
    images = RNG.integers(0, 256, (2050, 2, 2, 3), dtype=np.uint8)
    np.testing.assert_array_equal(read(archive({f"{i:04d}.png": x for i, x in enumerate(images)})).examples, images)


def test_a_jpeg_is_about_what_it_was():
    smooth = np.linspace(0, 200, 16 * 16 * 3).reshape(16, 16, 3).astype(np.uint8)
    (got, _) = read(folder({"a.jpg": encoded(smooth, "jpeg", quality=95), "b.jpeg": encoded(smooth, "jpeg")})).examples
    assert np.abs(got.astype(int) - smooth).mean() < 3


def test_box_is_the_mean_of_the_centre_square():
    """Wide, tall and square pictures: cut to the largest centred square, then plain averaging."""
    images = [noise(8, 14), noise(17, 8), noise(8, 8)]
    path = folder({f"{i}.png": image for i, image in enumerate(images)})
    squares = np.stack([images[0][:, 3:11], images[1][4:12], images[2]]).astype(float)
    means = squares.reshape(3, 4, 2, 4, 2, 3).mean(axis=(2, 4))  # to compare with: each axis is rounded to grey levels
    np.testing.assert_allclose(read(path, side=4, resample="box").examples, means, atol=1 + 1e-6)


def test_lanczos_is_the_windowed_sinc():
    """Against the kernel of three lobes, written out, on one axis after the other."""
    images = RNG.integers(60, 200, (2, 32, 32, 3), dtype=np.uint8)
    centres = (np.arange(8) + 0.5) * 4 - 0.5
    t = (np.arange(32)[None, :] - centres[:, None]) / 4
    kernel = np.where(np.abs(t) < 3, np.sinc(t) * np.sinc(t / 3), 0.0)
    kernel /= kernel.sum(axis=1, keepdims=True)
    expected = np.clip(np.einsum("ai,bj,nijc->nabc", kernel, kernel, images.astype(float)), 0, 255)
    got = read(folder({f"{i}.png": image for i, image in enumerate(images)}), side=8).examples
    np.testing.assert_allclose(got, expected, atol=1.1)  # each axis is rounded to whole grey levels


def test_a_picture_of_the_right_size_is_not_touched():
    images = [noise(), noise()]
    for resample in ("lanczos", "box"):
        path = folder({f"{i}.png": image for i, image in enumerate(images)})
        np.testing.assert_array_equal(read(path, side=6, resample=resample).examples, images)


def test_channels_are_what_is_asked_for():
    grey, colour = noise(channels=1), noise()
    path = folder({"0.png": grey, "1.png": colour})
    rgb = read(path).examples
    np.testing.assert_array_equal(rgb, [grey.repeat(3, axis=2), colour])
    luma = read(path, channels=1).examples
    np.testing.assert_array_equal(luma[0], grey)
    np.testing.assert_allclose(luma[1][..., 0], colour @ [0.299, 0.587, 0.114], atol=1)


def test_palettes_and_opaque_alpha_are_colours():
    colour = Image.fromarray(noise())
    palette = colour.quantize(8)
    opaque = colour.copy()
    opaque.putalpha(255)
    found = read(folder({"0.png": encoded(palette), "1.png": encoded(opaque)})).examples
    np.testing.assert_array_equal(found, [np.asarray(palette.convert("RGB")), np.asarray(colour)])


def test_pictures_are_turned_as_their_exif_data_says():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees clockwise
    image = noise(4, 6)
    files = {f"{i}.png": encoded(Image.fromarray(image), exif=exif) for i in range(2)}
    np.testing.assert_array_equal(read(folder(files)).examples[0], np.rot90(image, -1))


def test_labels_of_a_dataset_file():
    names = ["00000/img00000000.png", "00000/img00000001.png", "00001/img00001000.png"]
    files = {name: noise() for name in names}
    labels = [["not/here.png", 7], [names[2], 0], [names[0], 2], [names[1], 2]]
    given = {**files, "dataset.json": json.dumps({"labels": labels}).encode()}
    assert read(archive(given)).labels.tolist() == [2, 2, 0]
    assert read("x.zip", labels_from="nothing").labels is None
    assert read("x.zip", labels_from="folder").labels.tolist() == [0, 0, 1]
    assert read(archive({**files, "dataset.json": b'{"labels": null}'})).labels is None


def tarred(files, path="x.tgz"):
    """As `tar -C x -czf x.tgz .` makes it."""
    folder(files)
    with tarfile.open(path, "w:gz") as found:
        found.add("x", ".")
    return path


@pytest.mark.parametrize("pack", [folder, archive, tarred])
@pytest.mark.parametrize("around", ["", "d/", "d/e/"])
def test_labels_are_found_however_pictures_are_packed(pack, around):
    """Names in the table are as seen from where it lies."""
    table = json.dumps({"labels": [["b/0.png", 101], ["a.png", 100]]}).encode()
    files = {f"{around}a.png": noise(), f"{around}b/0.png": noise(), f"{around}dataset.json": table}
    assert read(pack(files)).labels.tolist() == [100, 101]


def test_labels_from_folders_are_sorted():
    files = {name: noise() for name in ("dog/a.png", "cat/x/b.png", "cat/a.png")}
    assert read(folder(files), labels_from="folder").labels.tolist() == [0, 0, 1]


def cut(share, kind):
    content = encoded(noise(40, 40), kind)
    return content[: int(share * len(content))]


def wide_png(width, height):
    """A picture that claims to be large."""
    content = bytearray(encoded(noise()))
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    return bytes(content)


def deep_png(kind, channels):
    """16 bits a channel, which Pillow cannot write."""
    rows = b"".join(b"\0" + RNG.bytes(6 * 2 * channels) for _ in range(6))
    head = struct.pack(">2I5B", 6, 6, 16, kind, 0, 0, 0)
    chunks = (b"IHDR" + head, b"IDAT" + zlib.compress(rows), b"IEND")
    packed = [len(each[4:]).to_bytes(4, "big") + each + zlib.crc32(each).to_bytes(4, "big") for each in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def animated(kind):
    frames = [Image.fromarray(noise()) for _ in range(3)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)


def crafted_exif():
    """A picture to be turned whose resolution says that it is a text: Pillow fails on that with a TypeError."""
    exif = Image.Exif()
    exif[0x0112], exif[0x011A] = 6, 72.0
    content = encoded(noise(), "jpeg", exif=exif)
    claim = content.replace(b"\x01\x1a\x00\x05", b"\x01\x1a\x00\x02")
    assert claim != content
    return claim


def transparent():
    picture = Image.fromarray(noise())
    picture.putalpha(254)
    return encoded(picture)


def two(content, **more):
    return lambda: folder({"0.png": noise(), "1.png": content, **more})


def labelled(content):
    return two(noise(), **{"dataset.json": content})


PROBLEMS = {
    "no picture": (lambda: folder({"a.gif": b"GIF89a"}), {}, "'x' holds no pictures; expected files .png"),
    "one picture": (lambda: folder({"a.png": noise()}), {}, "at least 2 are needed"),
    "sizes differ": (two(noise(6, 7)), {}, "'1.png' of 'x' has 7 x 6 pixels but '0.png' has 6 x 6; set a side"),
    "too small": (lambda: folder({"a.png": noise(6, 9)}), {"side": 8}, "'a.png' of 'x' has 9 x 6 pixels, too few"),
    "no png": (two(b"no picture"), {}, "'1.png' of 'x' cannot be read as a picture .not a PNG, JPEG or WebP"),
    "empty": (two(b""), {}, "'1.png' of 'x' cannot be read as a picture"),
    "another kind": (two(encoded(noise(), "tiff")), {}, "'1.png' of 'x' cannot be read as a picture"),
    "png cut short": (two(cut(0.5, "png")), {}, "'1.png' of 'x' cannot be read as a picture"),
    "png without an end": (two(cut(0.97, "png")), {}, "'1.png' of 'x' cannot be read as a picture"),
    "jpeg cut short": (two(cut(0.6, "jpeg")), {}, "'1.png' of 'x' cannot be read as a picture"),
    "webp cut short": (two(cut(0.6, "webp")), {}, "'1.png' of 'x' cannot be read as a picture"),
    "16 bit": (
        two(encoded(Image.fromarray(np.zeros((6, 6), np.uint16)))),
        {},
        "colour mode I;16 in 16 bits, expected 8",
    ),
    "16 bit colour": (two(deep_png(2, 3)), {}, "'1.png' of 'x' is of the colour mode RGB in 16 bits, expected 8-bit"),
    "16 bit alpha": (two(deep_png(6, 4)), {}, "'1.png' of 'x' is of the colour mode RGBA in 16 bits, expected 8-bit"),
    "animated png": (two(animated("png")), {}, "'1.png' of 'x' is an animation of 3 pictures"),
    "animated webp": (two(animated("webp")), {}, "'1.png' of 'x' is an animation of 3 pictures"),
    "crafted exif": (two(crafted_exif()), {}, "'1.png' of 'x' cannot be read as a picture .bad operand type"),
    "cmyk": (two(encoded(Image.new("CMYK", (6, 6), (9, 9, 9, 9)), "jpeg")), {}, "colour mode CMYK, expected 8-bit"),
    "transparent": (two(transparent()), {}, "'1.png' of 'x' has transparent pixels"),
    "bomb": (two(wide_png(9000, 9000)), {}, "'1.png' of 'x' has 9000 x 9000 pixels, expected at most 67108864"),
    "large bomb": (two(wide_png(60000, 60000)), {}, "'1.png' of 'x' cannot be read as a picture .*decompression bomb"),
    "not expected": (two(noise()), {"expected": (6, 7)}, "'0.png' of 'x' has 6 x 6 pixels, expected 7 x 6"),
    "no subfolder": (
        two(noise()),
        {"labels_from": "folder"},
        "source.labels_from: '0.png' of 'x' is in no subfolder",
    ),
    "one folder": (
        lambda: folder({"a/b/0.png": noise(), "a/c/1.png": noise()}),
        {"labels_from": "folder"},
        "source.labels_from: all pictures of 'x' are in the single folder 'a'",
    ),
    "two tables": (
        lambda: folder({"a/0.png": noise(), "a/dataset.json": b"", "b/1.png": noise(), "b/dataset.json": b""}),
        {},
        "'a/dataset.json' of 'x' is one of 2 files of that name; keep a single one, or set labels_from to 'nothing'",
    ),
    "outside the table": (
        lambda: folder({"a/0.png": noise(), "a/dataset.json": b'{"labels": [["0.png", 1]]}', "b/0.png": noise()}),
        {},
        "'a/dataset.json' of 'x' has no integer class >= 0 for 'b/0.png'",
    ),
    "no json": (labelled(b"{"), {}, "'dataset.json' of 'x' does not have the form"),
    "no labels": (labelled(b"[]"), {}, "'dataset.json' of 'x' does not have the form"),
    "deep json": (labelled(b"[" * 100_000), {}, "'dataset.json' of 'x' does not have the form"),
    "label missing": (labelled(b'{"labels": [["0.png", 0]]}'), {}, "has no integer class >= 0 for '1.png'"),
    "label a vector": (
        labelled(b'{"labels": [["0.png", [0.5]], ["1.png", 0]]}'),
        {},
        "has no integer class >= 0 for '0.png'",
    ),
    "label below 0": (
        labelled(b'{"labels": [["0.png", 0], ["1.png", -1]]}'),
        {},
        "has no integer class >= 0 for '1.png'",
    ),
    "label too large": (
        labelled(b'{"labels": [["0.png", 0], ["1.png", 2147483648]]}'),
        {},
        "has no integer class >= 0 for '1.png'",
    ),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_what_is_wrong_is_said_in_one_line(case):
    prepare, fields, message = PROBLEMS[case]
    with pytest.raises(ConfigError, match=message) as caught:
        read(prepare(), **fields)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("source.")


def test_one_picture_may_be_black():
    path = folder({"0.png": np.zeros((6, 6, 3), np.uint8), "1.png": noise()})
    assert read(path, expected=(6, 6)).examples[0].max() == 0


def test_too_many_pixels_in_all(monkeypatch):
    monkeypatch.setattr(pictures, "MAX_ARRAY", 200)
    with pytest.raises(ConfigError, match="the pictures of 'x' take 216 bytes, expected at most 200"):
        read(two(noise())())


def test_names_that_lead_outside_are_not_read():
    folder({"secret.png": noise()}, "..")
    with pytest.raises(ConfigError, match="leads outside"):
        read(archive({"a.png": noise(), "../secret.png": noise()}))
    os.remove("../secret.png")
