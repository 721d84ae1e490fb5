"""Tables as people write them: encodings, separators, headers, missing values, row numbers."""

import json
from pathlib import Path

import numpy as np
import polars
import pytest

from selfconsume.errors import ConfigError
from selfconsume.sources.files.tables import TableFormat, read

BODY = "1,2\n3,4\n"
VALUES = [[1.0, 2.0], [3.0, 4.0]]
NOISE = np.random.default_rng(9).normal(size=(60, 3))


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def table(content: str | bytes, name="x.csv", **fields):
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(name, TableFormat(**{"columns": None, "label": None, "header": None, "decimal": "."} | fields))


READ = {
    "plain": ("a,b\n" + BODY, {}, ()),
    "semicolons": ("a;b\n1;2\n3;4\n", {}, ("separator ';'",)),
    "tabs": ("a\tb\n1\t2\n3\t4\n", {}, ("separator tab",)),
    "bars": ("a|b\n1|2\n3|4", {}, ("separator '|'",)),
    "decimal commas": ("a;b\n1,0;2,0\n3;4,\n", {"decimal": ","}, ("separator ';'",)),
    "blank lines": ("\na,b\n1,2\n\n   \n3,4\n\n\n", {}, ("3 blank lines",)),
    "comments": ("# by hand\na,b\n1,2\n#9,9\n3,4\n", {}, ("2 comment lines (#)",)),
    "carriage returns": ("a,b\r1,2\r3,4\r", {}, ()),
    "windows line ends": ("a,b\r\n1,2\r\n3,4\r\n", {}, ()),
    "utf-8 with a mark": (b"\xef\xbb\xbfa,b\n1,2\n3,4", {}, ()),
    "utf-16": (("a,b\n" + BODY).encode("utf-16"), {}, ("read as UTF-16-LE",)),
    "utf-16 without a mark": (("a,b\n" + BODY).encode("utf-16-be"), {}, ("read as UTF-16-BE",)),
    "latin": ("a,b\n# größe\n1,2\n3,4".encode("latin-1"), {}, ("read as WINDOWS-1252", "1 comment line (#)")),
    "spaces": ("a , b\n 1, 2\n3 ,4\n", {}, ()),
    "quotes": ('"a","b"\n"1","2"\n3,4\n', {}, ()),
    "row numbers": (",a,b\n0,1,2\n1,3,4\n", {}, ("skipped '' (row index; name it in columns to use it)",)),
    "row numbers of pandas": (
        "Unnamed: 0,a,b\n7,1,2\n3,3,4\n",
        {},
        ("skipped 'Unnamed: 0' (row index; name it in columns to use it)",),
    ),
    "no header": (BODY, {"header": False}, ("no line of column names",)),
}


@pytest.mark.parametrize("case", READ)
def test_a_table_is_read_and_irregularities_are_noted(case):
    content, fields, notes = READ[case]
    found = table(content, **fields)
    np.testing.assert_array_equal(found.values, VALUES)
    assert found.columns == (("column_1", "column_2") if case == "no header" else ("a", "b"))
    assert found.notes == notes


def test_numbers_are_names_where_they_lie_outside_the_data_or_count():
    body = "\n".join(",".join(map(str, row)) for row in NOISE)
    found = table("400,410,420\n" + body)
    np.testing.assert_array_equal(found.values, NOISE)
    assert found.columns == ("400", "410", "420")
    assert table("id,2010,2011\n" + body).columns == ("id", "2010", "2011")
    assert table("0,1\n5,6\n7,8\n").columns == ("0", "1")
    assert table("0,1,2,3\n1,1,1,1\n").columns == ("0", "1", "2", "3")
    assert len(table("1,1.5\n2,3\n3,4\n", header=True).values) == 2


def test_a_first_line_of_data_is_never_taken_for_names():
    rows = [f"{x},{y},{'setosa' if i % 2 else 'virginica'}" for i, (x, y, _) in enumerate(NOISE)]
    with pytest.raises(ConfigError, match=r"holds data, not column names .'virginica' recurs .* set header = false"):
        table("\n".join(rows), label="virginica")
    found = table("\n".join(rows), header=False, label="column_3")
    assert found.values.shape == (60, 2) and list(found.labels[:2]) == ["virginica", "setosa"]


def test_missing_values_have_many_names():
    texts = ["", "NA", "N/A", "nan", "NaN", "null", "None", "#N/A", "<NA>", " "]
    found = table("a,b\n" + "\n".join(f"{text},1" for text in texts) + "\n5,1\n")
    assert np.isnan(found.values[:-1, 0]).all() and found.values[-1, 0] == 5
    assert table("a,b\n1,2\n3\n").values[1].tolist()[0] == 3


def test_digits_are_read_exactly():
    x = NOISE * 10.0 ** np.random.default_rng(1).integers(-300, 300, NOISE.shape)
    found = table("a,b,c\n" + "\n".join(",".join(map(repr, map(float, row))) for row in x))
    np.testing.assert_array_equal(found.values, x)


def test_quoted_fields_may_hold_line_ends():
    found = table('a,"b\n\n# c"\n1,2\n3,4\n')
    assert found.columns == ("a", "b\n\n# c") and found.notes == ()


def test_whole_numbers_as_labels_stay_numbers():
    assert table("a,b\n1,10\n2,9\n3,2\n", label="b").labels.tolist() == [10, 9, 2]


def test_an_index_of_pandas_is_no_column():
    frame = polars.DataFrame({"a": [1.0, 3.0], "b": [2.0, 4.0], "id": ["u", "v"], "__index_level_0__": [5, 3]})
    frame.write_parquet("x.parquet", metadata={"pandas": json.dumps({"index_columns": ["id"]})})
    form = TableFormat(None, None, None, ".")
    found = read("x.parquet", form)
    np.testing.assert_array_equal(found.values, VALUES)
    assert found.notes == ("skipped 'id', '__index_level_0__' (row index; name it in columns to use it)",)
    assert read("x.parquet", form._replace(columns=("a", "__index_level_0__"))).values[0].tolist() == [1, 5]


REFUSED = {
    "decimal commas": (
        "a;b\n1,5;2\n3;4\n",
        {},
        r"'a' of 'x.csv' hold no numbers, such as '1,5'; if commas .* decimal = ','",
    ),
    "points beside decimal commas": ("a;b\n1.003,5;2\n3;4\n", {"decimal": ","}, "such as '1.003,5'"),
    "a unit": ("a,b\n1,3\n2,12 kg\n", {}, "'b' of 'x.csv' hold no numbers, such as '12 kg'"),
    "numbers that may be data": (BODY + "2,3\n", {}, "holds numbers .1, 2.; set header = true"),
    "few counting numbers": ("0,1\n1,0\n1,1\n", {}, "holds numbers .0, 1.; set header = true"),
    "a column without a name": (",b\n0.5,1\n1,2\n", {}, "a column without a name; name the columns to use"),
    "more fields than names": ("a,b\n1,2\n3,4,5\n", {}, "cannot be read as .csv"),
    "a false mark": (b"\xff\xfea", {}, "cannot be read as .csv"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_ambiguous_or_no_number_is_refused_in_one_line(case):
    content, fields, message = REFUSED[case]
    with pytest.raises(ConfigError, match=message) as caught:
        table(content, **fields)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_a_row_with_too_many_fields_is_named(separator):
    with pytest.raises(ConfigError, match="row 4 has 3 fields, the first one 2; remove or quote what is too much"):
        table("a,b\n1,2\n'3',4\n5,6,7\n8,9\n".replace("'", '"').replace(",", separator))


def test_repeated_names_are_told_apart_and_noted():
    found = table("a,a,b\n1,2,3\n4,5,6\n")
    assert found.columns == ("a", "a_2", "b") and found.notes == ("repeated column names ('a' again: 'a_2')",)


def test_whole_numbers_that_float64_rounds_are_refused():
    with pytest.raises(
        ConfigError, match=r"'id' of 'x.csv' holds whole numbers such as 1152921504606846977, expected at most"
    ):
        table(f"id,v\n{2**60 + 1},1\n5,2\n")
