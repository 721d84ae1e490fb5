"""What results answer from Python: values, verdicts, samples, generators, figures and tables."""

import re

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

import selfconsume as sc
from selfconsume.answers import notebook
from selfconsume.answers.text_table import TextTable
from selfconsume.cli import main
from selfconsume.execution.run_study import Progress
from selfconsume.plots import style
from selfconsume.results.store import Store

RNG = np.random.default_rng(3)
ROWS = RNG.normal(size=(60, 2)) * [3.0, 0.5] + [10.0, -4.0]


@pytest.fixture(scope="module")
def study():
    axes = {"regime": [sc.regime("replace"), sc.regime("mix")]}
    return sc.Study(
        sc.source(ROWS, n=40), sc.family("gaussian"), None, [sc.metric("frechet")], axes, generations=3, seeds=2
    )


@pytest.fixture(scope="module")
def results(study, tmp_path_factory):
    return sc.run(study, tmp_path_factory.mktemp("answers") / "out")


def test_samples_are_in_the_units_of_the_data(results):
    rows = results.samples(run={"regime": "replace"}, seed=1)
    assert rows.shape == (40, 2)
    # Two retrainings on 40 samples move a mean by less than 5 sqrt(3 / 40) deviations.
    assert (np.abs(rows.mean(axis=0) - [10.0, -4.0]) < 5 * np.sqrt(3 / 40) * np.array([3.0, 0.5])).all()
    table = results.sample_table(run={"regime": "replace"}, seed=1)
    np.testing.assert_array_equal(table.to_numpy(), rows)
    first = [results.samples(0, run={"regime": name}) for name in ("replace", "mix(ratio=1)")]
    np.testing.assert_array_equal(*first)  # generation 0 is common to all regimes of a seed


def test_a_generator_draws_the_stored_samples_again(results, study):
    from selfconsume.loop.keys import Role, key_at

    (cell,) = [cell for cell in study.cells if cell.labels["regime"] == "replace"]
    generator = results.generator(2, run=cell.id[:8], seed=1)
    center, factor = study.base["source"].units
    drawn = np.asarray(generator.sample(key_at(1, 2, Role.SAMPLE), 40)) * np.array(factor) + center
    np.testing.assert_allclose(drawn, results.samples(2, run=cell.id, seed=1), rtol=1e-5, atol=1e-4)
    assert isinstance(generator, sc.Density) and generator.log_prob(jax.numpy.zeros((1, 2))).shape == (1,)


def test_tables_agree_with_the_values(results):
    import polars as pl

    values = results.table()
    summary = results.summary()
    assert summary.columns == ("regime", "frechet") and [row[0] for row in summary.rows][2] == "real against real"
    mean = (
        values.filter((pl.col("generation") == 2) & (pl.col("metric") == "frechet"))
        .group_by("regime")
        .agg(pl.col("value").mean())
    )
    for regime, value in zip(mean["regime"], mean["value"], strict=True):
        text = dict(summary.rows)[regime]
        assert abs(float(text.split(" ± ")[0]) - value) < 0.005 * value
    assert results.summary(0).rows[0][1] == results.summary(0).rows[1][1]
    verdicts = results.verdicts()
    assert verdicts.text().column("verdict") == verdicts["verdict"].to_list() and len(verdicts) == 2
    assert len(verdicts.facts()) == 2 and verdicts.filter(pl.col("metric") == "none").is_empty()
    assert results.status()["finished"] and results.status()["seeds"] == 2


def test_markdown_and_latex_hold_any_text():
    table = TextTable(("a|b", "50 % & more_less"), (("x|y", "1 ± 2"),), "title")
    assert table.markdown().splitlines()[2:] == ["| a\\|b | 50 % & more_less |", "| --- | ---: |", "| x\\|y | 1 ± 2 |"]
    latex = table.latex()
    assert r"a|b & 50 \% \& more\_less \\" in latex and r"1 $\pm$ 2 \\" in latex and latex.startswith("% title\n")
    assert "<script>" not in TextTable(("<script>",), (("<script>",),)).html()


def test_tables_are_saved_by_suffix(results, tmp_path):
    results.summary().save(tmp_path / "t.tex")
    assert r"\toprule" in (tmp_path / "t.tex").read_text()
    with pytest.raises(sc.ConfigError, match=r"expected a file ending in .md, .tex, .html"):
        results.summary().save(tmp_path / "t.doc")


@pytest.mark.parametrize("suffix", ["pdf", "svg", "png"])
def test_figures_are_saved_reproducibly_in_a_style(results, tmp_path, suffix):
    paths = [tmp_path / f"{i}.{suffix}" for i in (1, 2, 3)]
    for path, own in zip(paths, ("paper", "paper", {"font.size": 12}), strict=True):
        results.plot("frechet", path, style=own)
    first, second, other = (path.read_bytes() for path in paths)
    assert first == second != other


def test_a_style_holds_inside_its_block_only(results):
    assert results.plot(style="paper").get_size_inches().tolist() == [3.4, 2.4]
    with sc.style({"figure.figsize": (5.0, 3.0)}):
        assert results.plot(style={}).get_size_inches().tolist() != [5.0, 3.0]  # the inner style replaces it
        with style.rc():
            import matplotlib

            assert tuple(matplotlib.rcParams["figure.figsize"]) == (5.0, 3.0)
    assert results.plot().get_size_inches().tolist() != [3.4, 2.4]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: r.plot("frecht"), "plot: no metric 'frecht'; did you mean 'frechet'"),
        (lambda r: r.plot(style="papr"), "style: expected 'default', 'paper', a table of settings or a .mplstyle file"),
        (lambda r: r.plot(style={"font.sizee": 3}), "style: .*font.sizee"),
        (lambda r: r.plot(path="x.jpg"), "expected a file that ends in .png, .svg or .pdf"),
        (lambda r: r.samples(3, run={"regime": "replace"}), "has generations 0 to 2, not 3"),
        (lambda r: r.samples(run={"regim": 1}), "run: the study has no axis 'regim'; did you mean 'regime'"),
        (lambda r: r.samples(run={"regime": "fresh"}), "run: 0 runs have the labels .*; there are regime = replace; "),
        (lambda r: r.samples(), "expected one run, found 2 of 2"),
        (lambda r: r.summary(9), "summary: expected a generation from 0 to 2, got 9"),
        (lambda r: r.summary(metrics=["x"]), "summary: no metric 'x' in generation 2; there are frechet"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(results, call, message):
    with pytest.raises(sc.ConfigError, match=message) as caught:
        call(results)
    assert "\n" not in str(caught.value)


def test_a_notebook_shows_studies_results_verdicts_and_figures(results, study, tmp_path):
    page = results._repr_html_()
    assert "finished" in page and all(word in page for word in results.verdicts()["verdict"])
    assert "replace, mix(ratio=1)" in study._repr_html_() and "2 x 2 seeds x 3 generations" in study._repr_html_()
    assert results.verdicts()._repr_html_().count("<tr>") == 3
    assert results.plot()._repr_png_()[1:4] == b"PNG"
    store = Store(results.store.path)
    store.studies = []
    results_without = sc.Results(results.store.path)
    results_without.store = store
    assert "holds no study yet" in results_without._repr_html_()


def test_progress_in_a_notebook_is_a_bar_and_elsewhere_silent(monkeypatch, capsys):
    with notebook.progress(None) as callback:
        callback(Progress(1, 2, "half"))
    assert capsys.readouterr().out == ""
    display = pytest.importorskip("IPython.display", reason="needs IPython")
    shown = []

    class Handle:
        def update(self, page):
            shown.append(page.data)

    monkeypatch.setattr(notebook, "is_notebook", lambda: True)
    monkeypatch.setattr(notebook, "SECONDS", -1.0)
    monkeypatch.setattr(display, "display", lambda page, display_id: shown.append(page.data) or Handle())
    with notebook.progress(None) as callback:
        callback(Progress(1, 2, "generation <1>"))
    assert [float(re.findall(r"value='([\d.]+)'", page)[0]) for page in shown[:2]] == [0.0, 0.5]
    assert "50%" in shown[1] and "&lt;1&gt;" in shown[1] and shown[-1] == ""


@pytest.mark.parametrize("form", ["latex", "markdown"])
def test_the_console_prints_the_tables_that_python_returns(results, form):
    console = CliRunner()
    out = str(results.store.path)
    assert console.invoke(main.app, ["table", out, "--format", form]).stdout == getattr(results.summary(), form)()
    assert console.invoke(main.app, ["verdict", out, "--format", form]).stdout == getattr(results.verdicts(), form)()
    assert console.invoke(main.app, ["table", out, "--format", form, "--differences"]).exit_code
