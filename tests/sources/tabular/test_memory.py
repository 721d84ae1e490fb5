"""Data in memory and where people have it: the same examples as from a file, the same identity in every process."""

import jax
import numpy as np
import pandas as pd
import polars as pl
import pytest

import selfconsume as sc
from selfconsume.results import data_units
from selfconsume.sources import arrays
from selfconsume.sources.files import numpy_files
from selfconsume.sources.tabular import memory_data

KEY = jax.random.key(0)
RNG = np.random.default_rng(5)
ROWS = RNG.normal(size=(60, 2))
COLOURS = RNG.choice(["red", "green", "blue"], 60)
FRAME = {"age": RNG.normal(40, 9, 60), "colour": COLOURS, "size": RNG.normal(size=60)}


def content_of(source):
    return [np.asarray(source.train(KEY)), np.asarray(source.test(KEY)), np.asarray(source.reserve_rows())]


def assert_equal_data(first, second):
    for a, b in zip(content_of(first), content_of(second), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_array_gives_the_examples_of_its_file(tmp_path):
    np.save(tmp_path / "x.npy", ROWS)
    file, memory = sc.source(tmp_path / "x.npy", n=30), sc.source(ROWS, n=30)
    memory.check()
    assert_equal_data(file, memory)
    assert file == sc.source("arrays", path=str(tmp_path / "x.npy"), n=30) == sc.source(str(tmp_path / "x.npy"), n=30)
    assert (
        sc.source(ROWS.tolist(), n=30)
        == memory
        == sc.source(jax.numpy.asarray(ROWS.astype("f4")), n=30).__class__(memory.content, n=30)
    )


def test_later_changes_of_the_array_change_nothing():
    rows = ROWS.copy()
    source = sc.source(rows)
    before = content_of(source)
    rows[:] = 0
    for a, b in zip(before, content_of(source), strict=True):
        np.testing.assert_array_equal(a, b)
    assert sc.source(rows + 1.0).content != source.content


def test_labels_of_an_array_are_numbered():
    source = sc.source(ROWS, label=COLOURS)
    words = np.unique(COLOURS)[np.asarray(source.labels(KEY))]
    # Labels follow their rows: each training row is found among the data.
    center, factor = source.units
    train = np.asarray(source.train(KEY), np.float64) * factor + center
    rows = [int(np.abs(ROWS - row).sum(axis=1).argmin()) for row in train]
    assert (words == COLOURS[rows]).all() and source.content != sc.source(ROWS).content


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame])
def test_a_data_frame_gives_the_examples_of_its_file(library, tmp_path):
    pl.DataFrame(FRAME).write_csv(tmp_path / "x.csv")
    fields = {"categories": ("colour",), "n": 40}
    file, memory = sc.source(tmp_path / "x.csv", **fields), sc.source(library(FRAME), **fields)
    memory.check()
    assert_equal_data(file, memory)
    assert file.table_columns == memory.table_columns
    assert memory.content == sc.source(pl.DataFrame(FRAME)).content
    assert sc.source(library(FRAME), label="colour").shape == (2,)


def test_types_say_what_is_a_category():
    frame = pd.DataFrame(FRAME | {"colour": pd.Categorical(COLOURS), "zip": pd.Categorical(RNG.choice([9, 10], 60))})
    assert dict(sc.source(frame).table_columns) == {
        "age": None,
        "colour": ("blue", "green", "red"),
        "size": None,
        "zip": ("9", "10"),
    }
    with pytest.raises(sc.ConfigError, match=r"'colour' of the data frame hold no numbers, such as .*in categories"):
        sc.source(pl.DataFrame(FRAME)).check()


def test_categories_become_indicators_and_back():
    source = sc.source(pl.DataFrame(FRAME), categories=["colour"], n=45, n_test=15)
    rows = np.concatenate(content_of(source)[:2])
    assert source.shape == (5,) and set(np.unique(rows[:, 1:4])) == {0.0, 1.0} and (rows[:, 1:4].sum(axis=1) == 1).all()
    units = dict(zip(("center", "factor"), source.units, strict=True))
    decoded = data_units.table(data_units.decode(rows, units), dict(source.table_columns))
    expected = pl.DataFrame(FRAME).sort("age")
    assert decoded.sort("age")["colour"].to_list() == expected["colour"].to_list()
    np.testing.assert_allclose(decoded.sort("age")["age"], expected["age"], rtol=1e-6)
    np.testing.assert_allclose(rows[:, [0, 4]][: source.size].std(axis=0), 1, rtol=1e-5)
    # Generated rows are no indicators: the largest value says which category is meant.
    noisy = np.array([[0.0, 0.4, 0.5, -1.0, 0.0], [0.0, -0.1, -0.2, -0.3, 0.0]])
    assert data_units.table(noisy, dict(source.table_columns))["colour"].to_list() == ["green", "blue"]


def test_a_single_column_of_categories_is_one_hot():
    source = sc.source(pl.DataFrame({"colour": COLOURS}), categories=["colour"])
    sc.Study(source, sc.family("categorical"), sc.regime("replace"), generations=2)
    assert source.one_hot and not sc.source(pl.DataFrame(FRAME), categories=["colour"]).one_hot


def test_missing_values_are_refused_by_column_dropped_or_imputed():
    age = np.where(np.arange(60) % 10 == 3, np.nan, FRAME["age"])
    colour = [None if i % 20 == 7 else name for i, name in enumerate(COLOURS)]
    frame = pl.DataFrame(FRAME | {"age": age, "colour": colour})
    fields = {"categories": ["colour"]}
    message = r"9 of the 60 rows of the data frame .* .6 in age, 3 in colour.; set missing = 'drop' or 'impute'"
    with pytest.raises(sc.ConfigError, match=message):
        sc.source(frame, **fields).check()
    assert sum(map(len, content_of(sc.source(frame, missing="drop", **fields)))) == 51
    source = sc.source(frame, missing="impute", **fields)
    source.check()
    assert any(
        line.startswith("imputed 9 missing values (6 in age, 3 in colour) by the mean") for line in source.description
    )
    train = content_of(source)[0]
    # A standardised mean is 0; the statistics are of training rows alone, observed ones.
    assert (np.abs(train[:, 0]) < 1e-6).sum() == np.isnan(age[train_rows(60, source)]).sum() > 0
    shares = train[:, 1:4].sum(axis=0)
    observed = [colour[i] for i in train_rows(60, source) if colour[i] is not None]
    most = max(sorted(set(observed)), key=observed.count)
    names = dict(source.table_columns)["colour"]
    assert shares[names.index(most)] == observed.count(most) + len(train) - len(observed)
    with pytest.raises(sc.ConfigError, match="age of the data frame has no value in the training rows"):
        sc.source(pl.DataFrame({"age": [None] * 59 + [1.0], "size": FRAME["size"]}), missing="impute", n=3).check()


def train_rows(n, source):
    from selfconsume.sources.dataset_source import split_order

    return split_order(n)[source.test_size : source.test_size + source.size]


def test_a_rare_category_is_refused():
    rare = ["x"] + ["y"] * 59
    many = pl.DataFrame({"a": np.tile(FRAME["age"], 400), "b": np.repeat(rare, 400)})
    sc.source(many, categories=["b"], n_test=2).check()
    few = many.with_columns(b=pl.Series(["x", *["y"] * (len(many) - 1)]))
    source = sc.source(few, categories=["b"], n_test=2)
    with pytest.raises(sc.ConfigError, match=r"b=x holds in 1 of 23998 training rows of the data frame, .* merge it"):
        source.check()


@pytest.mark.parametrize(
    ("data", "fields", "message"),
    [
        (5, {}, "source: expected an array, a data frame, a dataset, a path or the name of a kind, got int"),
        ([[1, 2], [3]], {}, "source: cannot be read as an array"),
        (np.array([["a"], ["b"]]), {}, "source: the array holds <U1 values"),
        (np.arange(9.0), {}, r"source: the array holds an array of shape \(9,\); expected \(n, d\)"),
        (ROWS, {"columns": ["a"]}, "source.columns: the array has no named columns; leave it out"),
        (
            ROWS,
            {"label": "a"},
            r"source.label: the array has no named columns; pass the labels themselves: source\(x, ",
        ),
        (ROWS, {"label": [1, 2]}, r"source.label: labels of the array have shape \(2,\), expected \(60,\)"),
        (pd.DataFrame({"a": pd.to_datetime(["2020-01-01"] * 9)}), {}, "'a' of the data frame is of type Datetime"),
        (pl.DataFrame(FRAME), {"categories": ["z"]}, "source.categories: the data frame has no column 'z'"),
        (
            pl.DataFrame(FRAME),
            {"categories": ["colour"], "columns": ["age"]},
            "'colour' is not among the columns to use",
        ),
        ("no.npy", {}, "source.path: cannot find 'no.npy'"),
        ("gausian", {}, "source.kind: unknown 'gausian'; did you mean 'gaussian'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(data, fields, message):
    with pytest.raises(sc.ConfigError, match=message) as caught:
        sc.source(data, **fields).check()
    assert "\n" not in str(caught.value)


def test_too_many_categories_are_refused():
    frame = pl.DataFrame({"id": [f"n{i}" for i in range(600)], "x": np.arange(600.0)})
    with pytest.raises(sc.ConfigError, match="'id' of the data frame has 600 categories, expected 1 to 500"):
        sc.source(frame, categories=["id"]).check()


def test_a_large_file_is_memory_mapped_and_gives_the_same_examples(tmp_path, monkeypatch):
    rows = RNG.normal(size=(200, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", rows)
    source = sc.source(tmp_path / "x.npy", n=50, n_test=20)
    before = content_of(source)
    monkeypatch.setattr(numpy_files, "MAP_BYTES", 0)
    mapped = sc.source(tmp_path / "x.npy", n=50, n_test=20)
    mapped.check()
    assert isinstance(mapped.rows().examples.values, np.memmap) and mapped.units == source.units
    for a, b in zip(before, content_of(mapped), strict=True):
        np.testing.assert_array_equal(a, b)
    assert isinstance(arrays.Arrays(str(tmp_path / "x.npy")).table().values, np.memmap)
    # One that the caller has mapped read-only is not copied.
    given = sc.source(np.load(tmp_path / "x.npy", mmap_mode="r"), n=50, n_test=20)
    assert isinstance(given.rows().examples.values, np.memmap)
    assert_equal_data(given, mapped)


def test_results_of_memory_data_open_without_it_and_continue_with_it(tmp_path):
    recipes = sc.family("gaussian"), sc.regime("mix"), [sc.metric("frechet")]
    fields = {"categories": ["colour"]}
    study = sc.Study(sc.source(pd.DataFrame(FRAME), **fields), *recipes, generations=2, seeds=2)
    table = sc.run(study, tmp_path / "out").table()
    memory_data.forget()
    results = sc.load_results(tmp_path / "out")
    assert results.table().equals(table) and len(results.verdicts()) == 1
    # A new process: the data is needed to add to the results, and the message says so.
    with pytest.raises(
        sc.ConfigError, match=r"came from memory and is not in this process; pass it to source\(\) again"
    ):
        sc.Study(study.base["source"], *recipes, generations=3, seeds=2)
    again = sc.Study(sc.source(pl.DataFrame(FRAME), **fields), *recipes, generations=3, seeds=2)
    assert [cell.id for cell in again.cells] == [cell.id for cell in study.cells]
    longer = sc.run(again, tmp_path / "out").table()
    assert longer.filter(pl.col("generation") < 2).equals(table) and len(longer) > len(table)


MASK = np.zeros((60, 2), bool)
MASK[[3, 5], [0, 1]] = True


@pytest.mark.parametrize(
    "data", [np.ma.array(ROWS, mask=MASK), [np.ma.array(row, mask=m) for row, m in zip(ROWS, MASK, strict=True)]]
)
def test_masked_cells_are_missing_and_not_what_lies_below_the_mask(data):
    with pytest.raises(sc.ConfigError, match=r"2 of the 60 rows .* \(1 in column 0, 1 in column 1\)"):
        sc.source(data).check()
    assert sc.source(data, missing="drop").content == sc.source(np.where(MASK, np.nan, ROWS)).content
    assert_equal_data(sc.source(data, missing="drop"), sc.source(np.delete(ROWS, [3, 5], axis=0)))


def test_a_mask_that_hides_nothing_changes_nothing():
    assert sc.source(np.ma.array(ROWS, mask=False)) == sc.source(ROWS)


def test_masked_labels_and_integers_are_missing():
    labels = np.ma.array(COLOURS, mask=np.arange(60) == 7)
    with pytest.raises(sc.ConfigError, match="1 rows of the labels are empty"):
        sc.source(ROWS, label=labels).check()
    whole = np.ma.array(np.arange(120).reshape(60, 2), mask=MASK)
    with pytest.raises(sc.ConfigError, match="2 of the 60 rows"):
        sc.source(whole).check()


AMBIGUOUS = {
    "repeated names": (
        lambda: pd.DataFrame(ROWS, columns=["a", "a"]),
        "the data frame has several columns 'a'; rename",
    ),
    "names that are equal as texts": (lambda: pd.DataFrame(ROWS, columns=[1, "1"]), "several columns '1'"),
    "levels of names": (
        lambda: pd.DataFrame(ROWS, columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")])),
        r"column \('a', 'x'\) of the data frame has a name of 2 levels, expected one; join them",
    ),
    "durations": (lambda: ROWS.astype("m8[s]"), "the array holds timedelta64.s. values; save real numbers"),
    "a single column": (lambda: ROWS[:, 0], r"shape \(60,\); .*a single column is x.reshape\(-1, 1\)"),
    "identifiers": (lambda: pd.DataFrame({"id": np.arange(60) + 2**60}), "column 'id' .* expected at most 2.53"),
    "identifiers in an array": (
        lambda: np.arange(120).reshape(60, 2) - 2**60,
        "such as 1152921504606846976, expected at most 2.53",
    ),
    "identifiers as text": (
        lambda: pd.DataFrame({"id": [str(2**60 + i) for i in range(60)]}),
        "'id' .* expected at most 2.53",
    ),
    "a mean beyond resolution": (
        lambda: ROWS + np.array([1e16, 0]),
        r"column 0 of the array varies by about 1 .* subtract an offset",
    ),
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_data_that_would_be_read_otherwise_than_meant_is_refused(case):
    data, message = AMBIGUOUS[case]
    with pytest.raises(sc.ConfigError, match=message):
        sc.source(data()).check()


def test_large_numbers_that_float64_resolves_are_read():
    source = sc.source(ROWS + np.array([1e12, -1e12]))
    source.check()
    np.testing.assert_allclose(source.train(KEY), sc.source(ROWS).train(KEY), atol=1e-3)  # a step at 1e12 is 1.2e-4


@pytest.mark.parametrize("name", ["x.foo", "x"])
def test_a_file_of_an_unknown_kind_is_told_what_is_read(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text("1")
    with pytest.raises(
        sc.ConfigError, match=rf"'{name}' ends in '.*', expected .npy, .npz, .parquet, .* of pictures; convert"
    ):
        sc.source(name)
