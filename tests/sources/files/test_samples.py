"""Examples of another pipeline, as those of the real data: pictures and arrays alike, and what is refused."""

import zipfile

import numpy as np
import polars as pl
import pytest
from PIL import Image

import selfconsume as sc
from selfconsume.errors import ConfigError
from selfconsume.sources.files import samples


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Twelve pictures of 6 x 6 pixels as a folder, and as a source."""
    folder = tmp_path_factory.mktemp("pictures")
    for i, image in enumerate(np.random.default_rng(0).integers(0, 256, (12, 6, 6, 3), dtype=np.uint8)):
        Image.fromarray(image).save(folder / f"{i:02d}.png")
    return folder, sc.source("folder", path=str(folder), n=8, n_test=4)


def test_folders_archives_and_arrays_of_pictures_are_the_same_examples(pictures, tmp_path):
    folder, source = pictures
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    expected, valid = samples.read(str(folder), source, 12)
    assert expected.dtype == np.uint8 and expected.shape == (12, 6, 6, 3) and valid.all()
    np.save(tmp_path / "all.npy", expected)
    for place in ("all.zip", "all.npy"):
        assert samples.count(str(tmp_path / place), source) == 12
        np.testing.assert_array_equal(samples.read(str(tmp_path / place), source, 12)[0], expected)


def test_pictures_are_reduced_as_the_real_ones_were(pictures, tmp_path):
    folder, _ = pictures
    source = sc.source("folder", path=str(folder), side=3, n=8, n_test=4)
    reduced, _ = samples.read(str(folder), source, 12)
    assert reduced.shape == (12, 3, 3, 3)
    rows = source.rows().examples
    np.testing.assert_array_equal(reduced, rows)


def save(path, values):
    np.save(path, values)
    return str(path)


def test_other_shapes_and_types_are_one_line(pictures, tmp_path):
    source = pictures[1]
    images = np.zeros((5, 6, 6, 3), np.uint8)
    cases = {
        r"holds examples of shape \(6, 6, 1\), the real data has \(6, 6, 3\)": images[..., :1],
        r"holds examples of shape \(8, 8, 3\)": np.zeros((5, 8, 8, 3), np.uint8),
        r"holds float32, the real images are uint8; save grey levels": images.astype(np.float32),
        r"holds 5 examples, 6 are compared": images,
    }
    for message, values in cases.items():
        with pytest.raises(ConfigError, match=rf"^samples: '.*' {message}") as refused:
            samples.read(save(tmp_path / "case.npy", values), source, 6)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "name", ["a.txt", "a.npy", "a.npz", "a.csv", "a.parquet", "a.jsonl", "a.zip", "missing.npy", "folder"]
)
def test_unreadable_files_are_one_line(name, tmp_path):
    if name == "folder":
        (tmp_path / name).mkdir()
    elif name != "missing.npy":
        (tmp_path / name).write_text("")
    source = sc.source("gaussian", n=10)
    for read in (lambda path: samples.read(path, source, 5), lambda path: samples.count(path, source)):
        with pytest.raises(ConfigError, match=f"^samples: '.*{name}' ") as refused:
            read(str(tmp_path / name))
        assert "\n" not in str(refused.value)


def test_a_folder_of_pictures_is_no_set_of_vectors(pictures):
    with pytest.raises(ConfigError, match=r"^samples: '.*' holds pictures, the real data has examples of shape \(1,\)"):
        samples.read(str(pictures[0]), sc.source("gaussian", n=10), 5)


def test_numbers_are_in_the_units_of_the_real_data(tmp_path):
    rows = np.random.default_rng(0).normal(5.0, 3.0, size=(40, 2))
    source = sc.source("arrays", path=save(tmp_path / "real.npy", rows))
    read, _ = samples.read(str(tmp_path / "real.npy"), source, 40)
    np.testing.assert_array_equal(read, source.rows().examples)
    integers = samples.read(save(tmp_path / "integers.npy", np.rint(rows).astype(np.int64)), source, 40)[0]
    assert np.abs(integers - read).max() < 0.5 / 2.5


def test_a_column_may_be_saved_flat(tmp_path):
    source = sc.source("gaussian", n=10)
    assert samples.read(save(tmp_path / "flat.npy", np.arange(5.0)), source, 5)[0].shape == (5, 1)


@pytest.fixture
def people(tmp_path):
    """A table of numbers and categories, as real data."""
    random = np.random.default_rng(1)
    frame = pl.DataFrame(
        {
            "age": random.normal(40, 9, 60),
            "colour": random.choice(["red", "green", "blue"], 60),
            "income": random.normal(30000, 5000, 60),
        }
    )
    frame.write_csv(tmp_path / "real.csv")
    return frame, sc.source("arrays", path=str(tmp_path / "real.csv"), categories=["colour"])


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_columns_and_categories_are_found_by_name(people, suffix, tmp_path):
    frame, source = people
    shuffled = frame.select("income", "colour", "age", pl.lit("unused").alias("more"))
    path = tmp_path / f"samples{suffix}"
    {".csv": shuffled.write_csv, ".parquet": shuffled.write_parquet, ".jsonl": shuffled.write_ndjson}[suffix](path)
    examples, valid = samples.read(str(path), source, 60)
    assert valid.all()
    np.testing.assert_array_equal(examples, source.rows().examples[:])
    few = shuffled.filter(pl.col("colour") == "red")
    few.write_parquet(tmp_path / "few.parquet")
    red, _ = samples.read(str(tmp_path / "few.parquet"), source, len(few))
    np.testing.assert_array_equal(red[:, 1:4], np.tile([0, 0, 1], (len(few), 1)))


def test_unknown_categories_and_columns_are_one_line_and_missing_ones_invalid(people, tmp_path):
    frame, source = people
    frame.with_columns(colour=pl.lit("pink")).write_csv(tmp_path / "pink.csv")
    with pytest.raises(
        ConfigError, match=r"^samples: '.*' has the category 'pink' in 'colour', the real data has 'blue'"
    ):
        samples.read(str(tmp_path / "pink.csv"), source, 60)
    frame.drop("age").write_csv(tmp_path / "short.csv")
    with pytest.raises(ConfigError, match=r"^samples: '.*' has no column 'age'; it has 'colour', 'income'"):
        samples.read(str(tmp_path / "short.csv"), source, 60)
    colours = pl.when(pl.int_range(60) == 0).then(None).otherwise(pl.col("colour"))
    frame.with_columns(colour=colours).write_csv(tmp_path / "gap.csv")
    examples, valid = samples.read(str(tmp_path / "gap.csv"), source, 60)
    assert valid.tolist() == [False] + [True] * 59 and not examples[0].any()


def test_data_frames_in_memory_are_evaluated(people, tmp_path):
    frame, _ = people
    generations = [frame, frame.sample(60, shuffle=True, seed=0), frame.reverse()]
    results = sc.evaluate(
        frame.with_columns(pl.col("colour").cast(pl.Categorical)), generations, tmp_path / "out", metrics=["moments"]
    )
    values = results.table().filter(pl.col("metric") == "moments.mean_error")["value"].to_numpy()
    assert len(values) == 3 and np.ptp(values) < 1e-5  # the same rows in other orders
