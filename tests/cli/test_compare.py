"""`selfconsume compare` and `Results.compare`: the words of the paired comparison, where a person reads them."""

import json

import polars as pl
import pytest

import selfconsume as sc

STUDY = """[study]
generations = 12
seeds = 30
[source]
kind = "gaussian"
n = 10
[family]
kind = "gaussian"
[[metrics]]
kind = "frechet"
[axes]
regime = [{ kind = "real_only" }, { kind = "mix", ratio = 0.5 }, { kind = "replace" }]
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    (folder / "study.toml").write_text(STUDY)
    return sc.run(sc.load(folder / "study.toml"), folder / "out")


def test_synthetic_data_alone_is_worse_than_real_data(results, command):
    """Twelve fits to 10 samples of the one before: variance (1 - 1/10)^12, and a mean that has walked away by about as much."""
    comparison = results.compare()
    words = dict(comparison.table.select("regime", "word").iter_rows())
    losses = dict(comparison.table.select("regime", "difference").iter_rows())
    assert words["replace"] == "worse" and "real_only" not in words
    assert losses["replace"] > 2 * abs(losses["mix(ratio=0.5)"])
    assert (comparison.baseline, comparison.primary, comparison.generation) == ({"regime": "real_only"}, "frechet", 11)

    code, out, _ = command("compare", results.store.path)
    assert code == 0 and "worse" in out and "minus regime = real_only, by pairs of seeds" in " ".join(out.split())


def test_json_holds_the_same_table(results, command):
    code, out, _ = command("compare", results.store.path, "--json")
    facts = json.loads(out)
    assert code == 0 and facts["baseline"] == {"regime": "real_only"}
    table = results.compare().table.to_dicts()
    assert [row["word"] for row in facts["comparisons"]] == [row["word"] for row in table]
    assert facts["comparisons"][0]["difference"] == pytest.approx(table[0]["difference"])


def test_formats_are_those_of_python(results, command):
    comparison = results.compare()
    for form in ("latex", "markdown"):
        code, out, error = command("compare", results.store.path, "--format", form)
        assert code == 0 and out == getattr(comparison, form)() and not error
    assert out.startswith("generation 11 minus regime = real_only") and "| replace | frechet | worse |" in out
    assert r"mix(ratio=0.5) & frechet &" in comparison.latex() and r"\toprule" in comparison.latex()
    for name in ("compare", "verdict"):
        text = command(name, results.store.path, "--format", "json")[1]
        assert json.loads(text) and command(name, results.store.path, "--json")[1] == text
    assert "<table>" in comparison._repr_html_() and str(comparison) == comparison.markdown()


def test_a_study_without_axes_is_compared_by_its_regime(tmp_path):
    text = STUDY[: STUDY.index("[axes]")] + '[regime]\nkind = "replace"\n'
    comparison = sc.run(_study(tmp_path, text.replace("= 30", "= 3")), tmp_path / "out").compare()
    assert comparison.text().columns[0] == "regime" and comparison.text().rows[0][0] == "replace"


def test_figures_have_a_style_and_a_width(results, command, tmp_path):
    (tmp_path / "own.mplstyle").write_text("figure.figsize: 6, 2\n")
    for name, *words in (
        ("a.svg",),
        ("b.svg", "--style", "paper", "--width", "5"),
        ("c.svg", "--style", tmp_path / "own.mplstyle"),
    ):
        code, out, _ = command("plot", results.store.path, "--out", tmp_path / name, *words)
        assert code == 0 and out.strip().replace("\n", "") == str(tmp_path / name)
    texts = [(tmp_path / name).read_text() for name in ("a.svg", "b.svg", "c.svg")]
    assert 'width="360pt" height="252pt"' in texts[1] and 'width="432pt" height="144pt"' in texts[2]
    assert not any(f'width="{width}pt"' in texts[0] for width in (360, 432))
    report = ("report", results.store.path, "--figure", tmp_path / "samples.pdf")
    assert command(*report, "--style", "paper")[0] == 0
    for words in (("plot", results.store.path, "--out", tmp_path / "d.svg"), report):
        code, _, error = command(*words, "--style", "papre")
        assert code == 2 and error.startswith("error: style: expected 'default', 'paper'") and error.count("\n") == 1
    (tmp_path / "own.mplstyle").write_bytes(b"\xff\xfe\x00")
    code, _, error = command(
        "plot", results.store.path, "--out", tmp_path / "d.svg", "--style", tmp_path / "own.mplstyle"
    )
    assert code == 2 and error.count("\n") == 1
    code, _, error = command("plot", results.store.path, "--out", tmp_path / "d.svg", "--metric", "frecht")
    assert code == 2 and "did you mean 'frechet'" in error


def test_an_unknown_metric_is_one_line(results, command):
    code, _, errors = command("compare", results.store.path, "--primary", "frecht")
    assert code == 2 and "unknown 'frecht'; did you mean 'frechet'?" in errors


def test_verdicts_are_a_table(results):
    assert {"run", "metric", "verdict"} <= set(results.verdicts().columns)


def test_the_table_of_the_study_says_what_is_compared(results, command, tmp_path):
    """A changed [compare] table computes nothing and changes no run; options of the command come before it."""
    text = STUDY.replace('"frechet"', '"moments"\n[[metrics]]\nkind = "frechet"')
    text += '[compare]\nprimary = "frechet"\nmargin = 0.25\ngeneration = 5\nbaseline = "generation 0"\n'
    changed = _study(tmp_path, text)
    assert {cell.id for cell in changed.cells} == {cell["id"] for cell in results.store.study["cells"]}
    own = sc.run(changed, tmp_path / "out")
    comparison = own.compare()
    assert (comparison.baseline, comparison.primary, comparison.generation) == (None, "frechet", 5)
    assert set(comparison.table.filter(comparison.table["role"] == "primary")["margin"]) == {0.25}
    code, out, _ = command("compare", tmp_path / "out", "--generation", 11, "--baseline", "regime=real_only", "--json")
    facts = json.loads(out)
    assert code == 0 and (facts["baseline"], facts["generation"]) == ({"regime": "real_only"}, 11)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            'baseline = { regim = "real_only" }',
            "compare.baseline: 'regim' is no axis of the study; did you mean 'regime'?",
        ),
        (
            'baseline = { regime = "real" }',
            "compare.baseline: no cell has regime = 'real'; expected one of 'real_only'",
        ),
        ("generation = 12", "compare.generation: expected 1 to 11, the last generation of the study, got 12"),
        ("margin = 0.0", "compare.margin: expected greater than 0"),
        ('metric = "frechet"', "compare: unknown 'metric'"),
    ],
)
def test_a_wrong_table_is_refused_before_anything_runs(line, message, tmp_path):
    with pytest.raises(sc.ConfigError) as error:
        _study(tmp_path, f"{STUDY}[compare]\n{line}\n")
    assert message in str(error.value)


def test_differences_are_columns_of_the_table(results, command, tmp_path):
    code, _, _ = command("table", results.store.path, "--differences", "--out", tmp_path / "table.csv")
    frame = pl.read_csv(tmp_path / "table.csv", infer_schema_length=None)
    assert code == 0
    last = frame.filter((pl.col("generation") == 11) & (pl.col("metric") == "frechet"))
    means = dict(last.group_by("regime").agg(pl.col("difference").mean()).iter_rows())
    row = results.compare().table.filter(pl.col("regime") == "replace").to_dicts()[0]
    assert means["replace"] == pytest.approx(row["difference"]) and means["real_only"] is None


def test_a_fixed_data_set_is_what_the_answer_is_about(tmp_path, command):
    text = STUDY.replace('"gaussian"\nn = 10', '"digits"\nn = 40').replace("seeds = 30", "seeds = 2")
    text = text.replace("generations = 12", "generations = 2")
    sc.run(_study(tmp_path, text), tmp_path / "out")
    code, out, _ = command("compare", tmp_path / "out")
    assert code == 0 and "the answer is about this data set" in " ".join(out.split())


def test_the_profile_answers_each_definition_for_each_cell(results, command):
    """Fully synthetic training of a Gaussian on 10 samples: its risk rises; what is not measured is said with its remedy."""
    code, out, _ = command("profile", results.store.path)
    text = " ".join(out.split())
    assert (
        code == 0
        and "collapse as" in text
        and "hallucinated data: not measured; add hallucination to the metrics" in text
    )
    _, out, _ = command("profile", results.store.path, "--json")
    rows = json.loads(out)
    assert {row["regime"] for row in rows} == {"real_only", "mix(ratio=0.5)", "replace"} and len(rows) == 30
    answers = {(row["regime"], row["definition"], row["reference"]): row["answer"] for row in rows}
    assert answers["replace", "any increase of risk", "real only"] == "yes"
    assert answers["real_only", "catastrophic increase of risk", "real only"] == "no"
    assert results.profile().height == 30


def test_watching_gives_a_word_that_stays(results, command):
    code, out, _ = command("watch", results.store.path, "--json")
    rows = {row["regime"]: row for row in json.loads(out)}
    assert code == 0 and set(rows) == {"mix(ratio=0.5)", "replace"} and rows["replace"]["last_look"] == 8
    assert rows["replace"]["e_value"] > rows["mix(ratio=0.5)"]["e_value"]
    code, out, _ = command("watch", results.store.path, "--signs")
    assert code == 0 and "true at every look" in " ".join(out.split())


def _study(folder, text):
    (folder / "study.toml").write_text(text)
    return sc.load(folder / "study.toml")
