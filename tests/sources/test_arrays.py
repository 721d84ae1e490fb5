"""Files of the user's own: what is read, and what is refused with one line."""

import hashlib
import os
import zipfile

import jax
import numpy as np
import polars
import pytest

from selfconsume.errors import ConfigError
from selfconsume.sources.arrays import Arrays

KEY = jax.random.key(1)
ROWS = np.arange(60.0).reshape(20, 3)
TABLE = polars.DataFrame({"a": ROWS[:, 0], "b": ROWS[:, 1], "c": ROWS[:, 2], "kind": ["x", "y"] * 10})


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    """Relative paths, so that messages are short."""
    monkeypatch.chdir(tmp_path)


def everything(source: Arrays) -> np.ndarray:
    """All rows, sorted back into the order of the file by their first value."""
    parts = [source.train(KEY), source.test(KEY)]
    if source.reserve:
        parts.append(source.draw(KEY, source.reserve, 0))
    rows = in_data_units(source, np.concatenate(parts))
    return rows[np.argsort(rows.reshape(len(rows), -1)[:, 0])]


def in_data_units(source: Arrays, rows) -> np.ndarray:
    center, factor = source.units or (0.0, 1.0)
    return rows if source.units is None else np.round(np.asarray(rows, np.float64) * factor + center, 4)


def write(kind: str) -> Arrays:
    if kind == "npy":
        np.save("x.npy", ROWS)
        return Arrays("x.npy")
    if kind == "npz":
        np.savez("x.npz", rows=ROWS, kind=np.array(["x", "y"] * 10), other=np.zeros(3))
        return Arrays("x.npz", array="rows", label="kind")
    if kind == "csv":
        TABLE.write_csv("x.csv")
        return Arrays("x.csv", label="kind")
    TABLE.write_parquet("x.parquet")
    return Arrays("x.parquet", label="kind")


@pytest.mark.parametrize("kind", ["npy", "npz", "csv", "parquet"])
def test_every_kind_of_file_gives_the_same_rows(kind):
    source = write(kind)
    source.check()
    assert source.fixed and (source.size, *source.shape) == (16, 3) and source.reserve == 0
    np.testing.assert_array_equal(everything(source), ROWS)
    train = np.asarray(source.train(KEY))
    assert train.dtype == np.float32
    if kind == "npy":
        assert source.labels(KEY) is None
    else:
        # Row i holds 3i, 3i + 1, 3i + 2, and is labelled x (0) or y (1) in turns.
        np.testing.assert_array_equal(source.labels(KEY), in_data_units(source, train)[:, 0] / 3 % 2)


def test_the_order_is_the_same_in_all_of_them_and_is_shuffled():
    train = []
    for kind in ("npy", "npz", "csv", "parquet"):
        source = write(kind)
        train.append(in_data_units(source, source.train(KEY)))
    for other in train[1:]:
        np.testing.assert_array_equal(train[0], other)
    assert not np.array_equal(np.sort(train[0][:, 0]), train[0][:, 0])


def test_counts_and_reserve():
    np.save("x.npy", ROWS)
    source = Arrays("x.npy", n=10, n_test=3)
    assert source.size == 10 and source.reserve == 7 and source.test(KEY).shape == (3, 3)
    np.testing.assert_array_equal(everything(source), ROWS)
    assert Arrays("x.npy", n_test=2).size == 18
    np.save("large.npy", np.zeros((9000, 1)))
    assert Arrays("large.npy").size == 8000


def test_images_stay_eight_bit():
    images = np.arange(5 * 4 * 6 * 3).reshape(5, 4, 6, 3).astype(np.uint8)
    np.save("x.npy", images)
    source = Arrays("x.npy")
    assert source.train(KEY).dtype == np.uint8 and source.shape == (4, 6, 3)
    np.testing.assert_array_equal(everything(source), images[np.argsort(images[:, 0, 0, 0])])


def test_columns_may_be_chosen_and_change_their_kind_late():
    lines = ["a,b,name"] + [f"{i},{i},t" for i in range(200)] + ["200,0.5,t"]
    with open("x.csv", "w") as file:
        file.write("\n".join(lines))
    source = Arrays("x.csv", columns=("b", "a"))
    assert source.shape == (2,)
    np.testing.assert_array_equal(np.sort(everything(source)[:, 1]), np.arange(201))


def test_a_changed_file_is_read_again_and_has_another_fingerprint():
    np.save("x.npy", ROWS)
    source = Arrays("x.npy")
    before, first = everything(source), source.fingerprint()
    with open("x.npy", "rb") as file:
        assert first == hashlib.sha256(file.read()).hexdigest()
    np.save("x.npy", ROWS + 1)
    os.utime("x.npy", ns=(1, 1))
    np.testing.assert_allclose(everything(source), before + 1)
    assert source.fingerprint() != first
    os.rename("x.npy", "y.npy")
    moved = Arrays("y.npy").fingerprint()
    np.save("z.npy", ROWS + 1)
    assert moved == Arrays("z.npy").fingerprint()


def save_object(name):
    np.save(name, np.array([{"a": 1}], dtype=object), allow_pickle=True)


def text(content, name="x.csv"):
    with open(name, "w") as file:
        file.write(content)


def other_member():
    with zipfile.ZipFile("x.npz", "w") as archive:
        archive.writestr("a.txt", "hello")


def misnamed(save, name):
    with open(name, "wb") as file:
        save(file, ROWS)


def cut_short(name):
    np.save(name, ROWS)
    os.truncate(name, 200)


def false_header(name):
    """A header that claims 10^15 rows."""
    np.save(name, ROWS)
    with open(name, "rb") as file:
        content = file.read()
    claim = content.replace(b"(20, 3), }" + b" " * 14, b"(1000000000000000, 3), }")
    assert len(claim) == len(content) and claim != content
    with open(name, "wb") as file:
        file.write(claim)


PROBLEMS = {
    "missing": (lambda: None, {"path": "no.npy"}, "source.path: cannot find 'no.npy' .No such file"),
    "null byte": (lambda: None, {"path": "a\0.npy"}, "source.path: cannot find"),
    "folder": (lambda: os.mkdir("x.npy"), {"path": "x.npy"}, "'x.npy' is not a file"),
    "suffix": (lambda: text("", "x.txt"), {"path": "x.txt"}, "ends in '.txt', expected one of .npy, .npz"),
    "objects": (lambda: save_object("x.npy"), {"path": "x.npy"}, "holds Python objects"),
    "objects in an archive": (lambda: np.savez("x.npz", a=np.array([None])), {"path": "x.npz"}, "holds Python objects"),
    "cut short": (lambda: cut_short("x.npy"), {"path": "x.npy"}, "is cut off: its header promises an array of shape"),
    "false header": (
        lambda: false_header("x.npy"),
        {"path": "x.npy"},
        "is cut off: its header promises an array of shape",
    ),
    "no archive": (lambda: text("PK\x03\x04 rubbish", "x.npz"), {"path": "x.npz"}, "cannot be read as .npz"),
    "wrong name": (lambda: misnamed(np.save, "x.npz"), {"path": "x.npz"}, "is a single .npy array"),
    "wrong name too": (lambda: misnamed(np.savez, "x.npy"), {"path": "x.npy"}, "is an .npz archive"),
    "which array": (lambda: np.savez("x.npz", a=ROWS, b=ROWS), {"path": "x.npz"}, "name one of 'a', 'b'"),
    "no such array": (
        lambda: np.savez("x.npz", a=ROWS),
        {"path": "x.npz", "array": "z"},
        "source.array: 'x.npz' has no 'z'; it has 'a'",
    ),
    "array of a table": (
        lambda: text("a\n1\n2\n"),
        {"path": "x.csv", "array": "a"},
        "source.array: a .csv file has none",
    ),
    "columns of an array": (lambda: np.save("x.npy", ROWS), {"path": "x.npy", "columns": ("a",)}, "source.columns"),
    "text": (lambda: np.save("x.npy", np.array([["a"]])), {"path": "x.npy"}, "holds <U1 values"),
    "complex": (lambda: np.save("x.npy", ROWS * 1j), {"path": "x.npy"}, "holds complex128 values"),
    "one dimension": (lambda: np.save("x.npy", np.arange(9)), {"path": "x.npy"}, r"shape \(9,\); expected \(n, d\)"),
    "float images": (lambda: np.save("x.npy", np.zeros((9, 4, 4, 3))), {"path": "x.npy"}, "expected uint8"),
    "channels first": (lambda: np.save("x.npy", np.zeros((9, 3, 4, 4), np.uint8)), {"path": "x.npy"}, "C last"),
    "one row": (lambda: np.save("x.npy", ROWS[:1]), {"path": "x.npy"}, "holds 1 rows; at least 2"),
    "no columns": (lambda: np.save("x.npy", ROWS[:, :0]), {"path": "x.npy"}, "is empty"),
    "nan": (
        lambda: np.save("x.npy", np.where(np.isin(ROWS, [4, 5, 30]), np.nan, ROWS)),
        {"path": "x.npy"},
        "2 of the 20 rows of 'x.npy' hold missing, NaN or infinite values",
    ),
    "beyond float32": (
        lambda: np.save("x.npy", ROWS * 1e300),
        {"path": "x.npy", "scale": "none"},
        "of the 20 rows of 'x.npy' are beyond the range of float32; set scale to 'columns'",
    ),
    "scaled images": (
        lambda: np.save("x.npy", np.zeros((9, 4, 4, 3), np.uint8)),
        {"path": "x.npy", "scale": "common"},
        "source.scale: images are not scaled, got 'common'",
    ),
    "all equal": (lambda: np.save("x.npy", np.ones((20, 3))), {"path": "x.npy"}, "all 16 training rows .* are equal"),
    "gap": (lambda: text("a,b\n1,2\n3,\n4,5\n"), {"path": "x.csv"}, "1 of the 3 rows"),
    "words": (
        lambda: text("a,b\n1,u\n2,v\n"),
        {"path": "x.csv"},
        "'b' of 'x.csv' hold no numbers, such as 'u'; name the columns",
    ),
    "no header": (
        lambda: text("1,1.5\n2,3\n3,4\n"),
        {"path": "x.csv"},
        "first line of 'x.csv' holds numbers .1, 1.5.; set header = true .* or header = false",
    ),
    "header of an array": (
        lambda: np.save("x.npy", ROWS),
        {"path": "x.npy", "header": True},
        "source.header: a .npy file",
    ),
    "text in the archive": (
        other_member,
        {"path": "x.npz"},
        "source.path: 'x.npz' holds no array to train on",
    ),
    "no name": (lambda: text(",b\n0.5,1\n1,2\n"), {"path": "x.csv"}, "a column without a name"),
    "ragged": (lambda: text("a,b\n1,2\n3,4,5\n"), {"path": "x.csv"}, "cannot be read as .csv"),
    "empty": (lambda: text(""), {"path": "x.csv"}, "cannot be read as .csv"),
    "no parquet": (lambda: text("rubbish", "x.parquet"), {"path": "x.parquet"}, "cannot be read as .parquet"),
    "no such column": (
        lambda: text("a\n1\n2\n"),
        {"path": "x.csv", "columns": ("z",)},
        "has no column 'z'; it has 'a'",
    ),
    "twice": (lambda: text("a\n1\n2\n"), {"path": "x.csv", "columns": ("a", "a")}, "'a' is named twice"),
    "only a label": (lambda: text("a\n1\n2\n"), {"path": "x.csv", "label": "a"}, "has no column but the label"),
    "gap in labels": (lambda: text("a,b\n1,u\n2,\n"), {"path": "x.csv", "label": "b"}, "1 rows of 'b' are empty"),
    "float labels": (lambda: text("a,b\n1,.5\n2,1\n"), {"path": "x.csv", "label": "b"}, "expected integers or text"),
    "few labels": (
        lambda: np.savez("x.npz", a=ROWS, b=np.arange(3)),
        {"path": "x.npz", "label": "b"},
        r"have shape \(3,\), expected \(20,\)",
    ),
    "too many": (
        lambda: np.save("x.npy", ROWS),
        {"path": "x.npy", "n": 17},
        "source.n: 17 training and 4 test rows are requested, but the data has 20; lower n to at most 16",
    ),
    "all for the test": (lambda: np.save("x.npy", ROWS), {"path": "x.npy", "n_test": 20}, "leave no training row"),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_what_is_wrong_is_said_in_one_line(case):
    prepare, fields, message = PROBLEMS[case]
    prepare()
    with pytest.raises(ConfigError, match=message) as caught:
        Arrays(**fields).check()
    assert "\n" not in str(caught.value) and str(caught.value).startswith("source")


def test_column_names_that_are_just_counted_are_names():
    text("0,1\n5,6\n7,8\n")
    np.testing.assert_array_equal(everything(Arrays("x.csv")), [[5, 6], [7, 8]])


def test_a_compressed_archive_is_read():
    np.savez_compressed("x.npz", ROWS)
    assert zipfile.ZipFile("x.npz").infolist()[0].compress_type == zipfile.ZIP_DEFLATED
    np.testing.assert_array_equal(everything(Arrays("x.npz")), ROWS)


def table_of(columns, n=200):
    rng = np.random.default_rng(2)
    return polars.DataFrame({name: rng.normal(mean, std, n) for name, (mean, std) in columns.items()})


PEOPLE = table_of({"age": (42, 12), "income": (30000, 24000), "size": (1e7, 1)})


def test_named_columns_are_standardised_by_the_training_rows():
    PEOPLE.write_csv("x.csv")
    source = Arrays("x.csv", n=100)
    train = np.asarray(source.train(KEY))
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(train.std(axis=0), 1, rtol=1e-6)
    assert abs(np.asarray(source.test(KEY)).std(axis=0) - 1).max() > 1e-3
    center, factor = source.units
    rows = np.concatenate([train, source.test(KEY), source.reserve_rows()]) * np.array(factor) + center
    rows = rows[np.argsort(rows[:, 0])]
    np.testing.assert_allclose(rows, PEOPLE.sort("age").to_numpy(), rtol=1e-5, atol=0.02)


def test_arrays_without_names_share_a_factor_unless_their_deviations_are_far_apart():
    x = PEOPLE.to_numpy()
    np.save("x.npy", x[:, [0, 2]])
    factors = set(Arrays("x.npy").units[1])
    assert len(factors) == 1
    np.save("y.npy", x)
    assert len(set(Arrays("y.npy").units[1])) == 3
    assert len(set(Arrays("y.npy", scale="common").units[1])) == 1
    assert Arrays("y.npy", scale="none").units is None


def test_what_was_read_is_described():
    text("# by hand\n,a,b,c\n\n" + "\n".join(f"{i},{i},{i % 7},5" for i in range(20)) + "\n20,NA,1,5\n")
    source = Arrays("x.csv", missing="drop", n=10)
    source.check()
    assert source.description == [
        "20 examples of shape 3: 10 to train, 4 to test, 6 in reserve",
        "columns a, b, c",
        "1 blank line",
        "1 comment line (#)",
        "skipped '' (row index; name it in columns to use it)",
        "dropped 1 of 21 rows with missing values (1 in a)",
        source.description[6],
        "1 constant column (c)",
    ]
    assert source.description[6].startswith("scale 'columns': mean 0 and deviation 1 for each column (deviations ")


def test_missing_values_are_refused_by_column_or_dropped():
    rows = ROWS.copy()
    rows[3, 1] = rows[4, 1] = rows[4, 2] = np.nan
    np.save("x.npy", rows)
    with pytest.raises(ConfigError, match=r"2 of the 20 rows .* .2 in column 1, 1 in column 2.; set missing = 'drop'"):
        Arrays("x.npy").check()
    np.testing.assert_array_equal(everything(Arrays("x.npy", missing="drop")), np.delete(ROWS, [3, 4], axis=0))
    text("a,kind\n" + "\n".join(f"{i},{'uv'[i % 2]}" for i in range(10)) + "\n10,\n")
    with pytest.raises(ConfigError, match="1 rows of 'kind' are empty; fill them, or set missing = 'drop'"):
        Arrays("x.csv", label="kind").check()
    source = Arrays("x.csv", label="kind", missing="drop")
    assert len(everything(source)) == 10 and set(np.asarray(source.labels(KEY)).tolist()) == {0, 1}


def test_degenerate_data_is_named():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(100, 2))
    np.save("x.npy", np.column_stack([x, x @ [2.0, -1.0] + 3]))
    assert any("column 2 depend linearly on other columns" in line for line in Arrays("x.npy").description)
    np.save("x.npy", np.repeat(x[:5], 20, axis=0))
    lines = Arrays("x.npy").description
    assert "warning: only 5 of 80 training rows are distinct" in "".join(lines)
    assert any("5 distinct training rows are fewer than n_test = 20" in line for line in lines)
    np.save("x.npy", x)
    assert not any("warning" in line for line in Arrays("x.npy").description)


def test_an_archive_without_arrays_is_refused():
    with zipfile.ZipFile("x.npz", "w") as archive:
        archive.writestr("a.txt", "text")
    with pytest.raises(ConfigError, match="holds no array to train on"):
        Arrays("x.npz").check()
