"""A report of many cells opens with a map of two axes, and folds its table."""

import pytest

import selfconsume as sc
from selfconsume.report import cell_map, page
from selfconsume.results.store import Store
from selfconsume.results.table import table


def run(path, ratios, temperatures):
    study = sc.Study(
        source=sc.source("gaussian", n=20),
        family=sc.family("gaussian"),
        regime=sc.regime("mix"),
        metrics=[sc.metric("frechet")],
        axes={"regime.ratio": ratios, "family.temperature": temperatures},
        generations=2,
        seeds=2,
    )
    sc.run(study, path)
    return Store(path)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return run(tmp_path_factory.mktemp("map") / "out", [0.25, 0.5, 1.0, 2.0, 4.0], [0.5, 1.0, 2.0])


def test_it_holds_the_mean_of_every_cell_and_its_rank(store):
    frame = table(store)
    chart = cell_map.map_cells(frame, store.study, {"frechet": "lower"})
    assert (chart.row_axis, chart.column_axis, chart.pooled) == ("regime.ratio", "family.temperature", [])
    assert [name for name, _ in chart.rows] == ["0.25", "0.5", "1.0", "2.0", "4.0"] and chart.columns == [
        "0.5",
        "1.0",
        "2.0",
    ]
    last = frame.filter(frame["generation"] == 1, frame["metric"] == "frechet")
    for name, entries in chart.rows:
        for column, entry in zip(chart.columns, entries, strict=True):
            cell = last.filter(last["regime.ratio"] == float(name), last["family.temperature"] == float(column))
            assert entry[0] == f"{cell['value'].mean():.3g}"
    shades = sorted(entry[1] for _, entries in chart.rows for entry in entries)
    assert shades[0] == 0 and shades[-1] == 1 and len(set(shades)) == 15
    higher = cell_map.map_cells(frame, store.study, {"frechet": "higher"})
    assert higher.rows[0][1][0][1] == pytest.approx(1 - chart.rows[0][1][0][1])


def test_the_page_opens_with_it_and_folds_the_table(store):
    text = page.write(store).read_text()
    assert text.index("<h2>All cells</h2>") < text.index("The table of all cells</summary>") < text.index("</details>")


def test_few_cells_have_none(tmp_path):
    small = run(tmp_path / "out", [0.5, 1.0], [1.0, 2.0])
    assert cell_map.map_cells(table(small), small.study, {"frechet": "lower"}) is None
    assert "<h2>All cells</h2>" not in page.write(small).read_text()
