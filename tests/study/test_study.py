import copy
import json
import os

import jax.numpy as jnp
import pytest

from selfconsume.errors import ConfigError
from selfconsume.families.gaussian import Gaussian
from selfconsume.metrics.moments import Moments
from selfconsume.models.checkpoints.pytrees import save_generator
from selfconsume.models.distributions.exact import Normal
from selfconsume.regimes.mix import Mix
from selfconsume.regimes.replace import Replace
from selfconsume.regimes.window import Window
from selfconsume.sources.gaussian import Gaussian as Source
from selfconsume.study.identity import identity
from selfconsume.study.settings import PARTS, Settings
from selfconsume.study.study import Study
from selfconsume.study.toml_file import from_stored, from_tables, load

BASE = {
    "study": {"generations": 3, "seeds": 2},
    "source": {"kind": "gaussian", "n": 10},
    "family": {"kind": "gaussian"},
    "regime": {"kind": "mix", "ratio": 0.5},
    "metrics": [{"kind": "moments"}],
}
DROP = type("Drop", (), {"__repr__": lambda self: "DROP"})()


def changed(*path_and_value):
    """The tables of a good study with one thing changed. An axis of recipes comes in the place of their table."""
    *path, name, value = path_and_value
    tables = copy.deepcopy(BASE)
    if (path, name) == ([], "axes") and isinstance(value, dict):
        tables = {role: table for role, table in tables.items() if role not in value}
    table = tables
    for part in path:
        table = table.setdefault(part, {})
    if value is DROP:
        del table[name]
    else:
        table[name] = value
    return tables


def test_a_good_study_is_not_refused():
    made = from_tables(BASE)
    assert [cell.run.regime for cell in made.cells] == [Mix(0.5)]
    assert (made.seeds, made.last) == ((0, 1), 2)


NAN, INF = float("nan"), float("inf")
MIXED = {"kind": "gaussian_mixture", "n": 30}
BAD = [
    # Unknown names.
    (("studdy", {}), "unknown table [studdy]; did you mean 'study'?"),
    (("study", "generation", 3), "study: unknown 'generation'; did you mean 'generations'?"),
    (("study", "regime", "mix"), "study: unknown 'regime'; write it as a table of its own, [regime]"),
    (("source", "N", 3), "source: unknown 'N'; expected one of 'dim', 'n', 'n_test', 'mean', 'std'"),
    (("source", "kind", "gausian"), "source.kind: unknown 'gausian'; did you mean 'gaussian'?"),
    (("family", "kind", "normal"), "family.kind: unknown 'normal'; expected one of 'gaussian', 'mixture',"),
    (("regime", "ration", 0.5), "regime: unknown 'ration'; did you mean 'ratio'?"),
    (("metrics", [{"kind": "moment"}]), "metrics[0].kind: unknown 'moment'; did you mean 'moments'?"),
    (("metrics", [{"kind": "moments", "x": 1}]), "metrics[0]: unknown 'x'; expected one of 'estimator'"),
    (("regime", {"kind": "real_only", "ratio": 1}), "regime: unknown 'ratio'; it takes no fields"),
    (("axes", {"source.m": [5]}), "axes.source.m: 'gaussian' has no 'm'; expected one of 'dim'"),
    (("axes", {"sourc.n": [5]}), "axes: unknown 'sourc.n'; did you mean 'source'?"),
    (
        ("axes", {"seeds": [1]}),
        "axes: unknown 'seeds'; expected one of 'source', 'family', 'regime', 'curation', 'representation', 'study.start'",
    ),
    (("axes", {"regime.kind": ["mix"]}), "axes.regime.kind: 'mix' has no 'kind'"),
    (("axes", {"regime": [{"kind": "replac"}]}), "axes.regime.kind: unknown 'replac'; did you mean 'replace'?"),
    # Missing things.
    (("source", DROP), "source: missing; add a [source] table with a kind"),
    (("family", DROP), "family: missing; add a [family] table with a kind"),
    (("regime", DROP), "regime: missing; add a [regime] table or an axis of regimes"),
    (("source", "kind", DROP), "source.kind: missing; expected one of 'gaussian', 'gaussian_mixture'"),
    (("metrics", [{}]), "metrics[0].kind: missing; expected one of 'parameters'"),
    (("source", {"kind": "arrays"}), "source.path: missing; give it a value"),
    (("source", {"kind": "arrays", "path": "no.npy"}), "source.path: cannot find 'no.npy' (No such file or directory)"),
    (("source", {"kind": "categorical"}), "expected either p or k, got neither"),
    (
        ("study", "initial", "no.safetensors"),
        "study.initial: no file 'no.safetensors'; give 'fit', 'truth' or the path",
    ),
    # Wrong types: numbers are numbers, not texts and not truth values.
    (("source", "n", "100"), "source.n: expected a valid integer, got '100'"),
    (("source", "n", True), "source.n: expected a valid integer, got True"),
    (("source", "n", 10.0), "source.n: expected a valid integer, got 10.0"),
    (("source", "n", [10]), "source.n: expected a valid integer, got [10]"),
    (("source", "std", "1"), "source.std: expected a valid number, got '1'"),
    (("source", "std", True), "source.std: expected a valid number, got True"),
    (("source", "kind", 3), "source.kind: expected a name, got 3"),
    (("source", 3), "source: expected a table [source], got 3"),
    (("study", 3), "study: expected a table [study], got 3"),
    (("axes", 3), "axes: expected a table [axes], got 3"),
    (("metrics", {"kind": "moments"}), "metrics: expected [[metrics]] tables, each with a kind"),
    (("metrics", ["moments"]), "metrics: expected [[metrics]] tables, each with a kind"),
    (("study", "seeds", "100"), "study.seeds: expected a valid integer or a valid array, got '100'"),
    (("study", "seeds", True), "study.seeds: expected a valid integer or a valid array, got True"),
    (("study", "initial", 3), "study.initial: expected a valid string, got 3"),
    (("regime", "ratio", [0.5, "x"]), "regime.ratio: expected a valid number, got [0.5, 'x']"),
    (("axes", {"source.n": 5}), "axes.source.n: expected a list of values, got 5"),
    (("axes", {"source.n": [10, "x"]}), "source.n: expected a valid integer, got 'x'"),
    (("axes", {"regime": ["mix"]}), "axes.regime: expected a table with a 'kind' or a regime, got 'mix'"),
    # Numbers out of range.
    (("source", "n", 0), "source.n: expected greater than or equal to 1, got 0"),
    (("source", "std", 0), "source.std: expected greater than 0, got 0"),
    (("source", "std", NAN), "source.std: expected a finite number, got nan"),
    (("regime", "ratio", INF), "regime.ratio: expected a finite number, got inf"),
    (("regime", "ratio", [0.5, NAN]), "regime.ratio: expected a finite number, got nan"),
    (("axes", {"regime.ratio": [0.5, NAN]}), "regime.ratio: expected a finite number, got nan"),
    (("regime", "ratio", -1), "regime.ratio: expected greater than or equal to 0"),
    (("regime", "ratio", []), "regime.ratio: expected"),
    (("family", "temperature", -1), "family.temperature: expected greater than or equal to 0, got -1"),
    (("study", "generations", 0), "study.generations: expected greater than or equal to 1, got 0"),
    (("study", "generations", 10**9), "study.generations: expected less than or equal to 1000000"),
    (("study", "seeds", 0), "study.seeds: expected greater than or equal to 1"),
    (("study", "seeds", []), "study.seeds: expected a valid integer or at least 1 item, got []"),
    (("study", "seeds", [-1]), "study.seeds: expected a valid integer or greater than or equal to 0, got [-1]"),
    (("study", "seeds", [2**32]), "study.seeds: expected"),
    (("study", "n_synthetic", 0), "study.n_synthetic: expected greater than or equal to 1, got 0"),
    # Choices.
    (("study", "start", "hot"), "study.start: expected 'cold', 'warm' or 'first', got 'hot'"),
    (("study", "keep", "some"), "study.keep: expected 'all', 'samples' or 'generators', got 'some'"),
    (("axes", {"start": ["cold", "x"]}), "study.start: expected 'cold', 'warm' or 'first', got 'x'"),
    (("family", "estimator", "MLE"), "family.estimator: expected 'ml' or 'unbiased', got 'MLE'"),
    (("regime", {"kind": "fresh", "weight": "silver"}), "regime.weight: expected a valid number or 'golden', got"),
    # Impossible combinations.
    (("source", "n", 1), "needs at least 2 real examples"),
    (
        ("source", {"kind": "digits", "n": 5000}),
        "source.n: 5000 training and 500 test rows are requested, but the data has",
    ),
    (("regime", "ratio", 0.01), "regime.ratio: 0.01 of 10 real examples is less than one synthetic example"),
    (
        ("regime", {"kind": "subsample", "budget": 50}),
        "regime.budget: expected at most the 20 examples of generation 1, got",
    ),
    (("family", {"kind": "mixture", "k": 20}), "family.k: 20 components need at least as many real examples"),
    (("family", {"kind": "categorical"}), "family: 'categorical' takes one-hot rows"),
    (("metrics", [{"kind": "mode_coverage"}]), "expected a source with known modes, got Gaussian"),
    (("axes", {"source": [{"kind": "digits"}, MIXED], "study.initial": ["truth"]}), "study.initial: 'truth' needs"),
    (
        ("axes", {"family": [{"kind": "kde"}], "start": ["warm"]}),
        "'kde' cannot start from another generator; use 'cold'",
    ),
    # The same thing twice.
    (("metrics", [{"kind": "moments"}] * 2), "metrics[1]: 'moments' is there twice"),
    (("axes", {"source.n": [10, 10]}), "axes: {'source.n': 10} and {'source.n': 10} are the same run; drop one"),
    (("study", "initial", "a\0b"), "study.initial: expected text without null bytes, got 'a\\x00b'"),
    (("study", "initial", "/dev/null"), "study.initial: '/dev/null' is not a regular file; give a checkpoint"),
    (("axes", {"regime.ratio": ["x" * 1000]}), "regime.ratio: expected a valid number"),
    (
        ("axes", {name: list(range(1000)) for name in ("regime.ratio", "family.temperature", "study.extrapolation")}),
        "axes: 1000 x 1000 x 1000 values are 1000000000 runs, at most 100000 are allowed; shorten an axis",
    ),
    (("study", "seeds", [3, 4, 3]), "study.seeds: 3 is there 2 times; give each seed once"),
    (("axes", {"source.n": []}), "axes.source.n: expected a list of values, got []"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=lambda each: str(each)[:60])
def test_mistakes_are_told_in_one_line(change, message):
    """Where, what was expected, what was found; never a traceback of something else."""
    with pytest.raises(ConfigError) as caught:
        from_tables(changed(*change))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


OF_ROLES = {
    **{role: BASE[role] for role in ("source", "family", "regime")},
    "curation": {"kind": "correction"},
    "representation": {"kind": "pca", "components": 1},
}


@pytest.mark.parametrize("role", PARTS)
def test_a_table_beside_an_axis_of_its_name_is_checked_and_refused(role):
    table = OF_ROLES[role]
    both = {**BASE, role: table, "axes": {role: [table]}}
    with pytest.raises(ConfigError, match=f"{role}: unknown 'wrong'"):
        from_tables({**both, role: {**table, "wrong": 1}})
    with pytest.raises(ConfigError) as caught:
        from_tables(both)
    message = str(caught.value)
    assert f"[{role}]" in message and f"axes.{role}" in message and "remove the table, or the axis" in message
    assert "\n" not in message


@pytest.mark.parametrize("role", PARTS)
def test_the_stored_table_of_an_earlier_version_beside_an_axis_has_no_effect(role):
    table, base = OF_ROLES[role], BASE
    if role == "representation":  # It is fitted to data that is the same for all seeds.
        base = {**BASE, "source": {"kind": "digits", "n": 30}}
    alone = {**{name: part for name, part in base.items() if name != role}, "axes": {role: [table]}}
    stored = from_stored({**alone, role: {**table, "n": 99} if role == "source" else table})
    assert [cell.id for cell in stored.cells] == [cell.id for cell in from_tables(alone).cells]
    assert stored.table() == from_tables(alone).table() and role not in stored.table()


def test_an_axis_on_the_command_line_takes_the_place_of_the_table(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(FILE.replace('"regime.ratio" = [0.5, 1.0]', ""))
    made = load(path, ['axes.regime=[{kind="replace"}, {kind="mix", ratio=0.5}]', "axes.source.std=[1]"])
    assert [cell.run.regime for cell in made.cells] == [Replace(), Mix(0.5)]
    with pytest.raises(ConfigError, match=r"axes\.regime"):
        load(path, ['axes.regime=[{kind="replace"}]', 'regime.kind="mix"'])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((Gaussian(), Gaussian(), Mix()), "source: expected a source, got a Gaussian of selfconsume.families.gaussian"),
        ((Source(), Source(), Mix()), "family: expected a family, got a Gaussian of selfconsume.sources.gaussian"),
        ((Source(), Gaussian(), Gaussian()), "regime: expected a regime"),
        ((Source(), Gaussian(), Mix(), [Mix()]), "metrics[0]: expected a metric"),
        ((Source(), Gaussian(), Mix(), Moments()), "metrics: expected a list of metrics, got Moments("),
        ((Source(), Gaussian(), Mix(), [Moments]), "metrics[0]: expected a table with a 'kind' or a metric"),
        ((Source, Gaussian(), Mix()), "source: expected a table with a 'kind' or a source"),
        ((Source(), Gaussian(), None), "regime: missing"),
        ((Source(n=True), Gaussian(), Mix()), "source.n: expected a valid integer, got True"),
        ((Source(), Gaussian(temperature=-1.0), Mix()), "family.temperature: expected greater than or equal to 0"),
        ((Source(), Gaussian(), Mix(), [], [1]), "axes: expected a table of lists of values, got [1]"),
        ((Source(), Gaussian(), None, [], {"regime": [Mix(), Source()]}), "axes.regime: expected a regime"),
    ],
)
def test_mistakes_in_python_are_told_too(given, message):
    with pytest.raises(ConfigError) as caught:
        Study(*given)
    assert message in str(caught.value)


def test_a_grid_is_the_product_of_its_axes():
    axes = {"regime": [{"kind": "mix"}, {"kind": "window"}], "source.n": [10, 20], "start": ["cold", "warm"]}
    made = from_tables(changed("axes", axes))
    assert len(made.cells) == 8
    assert made.cells[0].labels == {"regime": "mix(ratio=1)", "source.n": 10, "start": "cold"}
    assert [cell.run.source.n for cell in made.cells] == [10, 10, 20, 20] * 2
    assert [cell.run.start for cell in made.cells] == ["cold", "warm"] * 4
    assert {type(cell.run.regime) for cell in made.cells[:4]} == {Mix}
    assert len({cell.id for cell in made.cells}) == 8


def test_a_field_of_a_whole_object_that_is_an_axis_itself():
    """Whole objects first, whatever the order in the file."""
    axes = {"regime.ratio": [0.5, 1.0], "regime": [{"kind": "mix", "weight": 2.0}]}
    made = from_tables(changed("axes", axes))
    assert [cell.run.regime for cell in made.cells] == [Mix(0.5, weight=2.0), Mix(1.0, weight=2.0)]
    assert made.cells[0].labels == {"regime.ratio": 0.5, "regime": "mix(weight=2)"}
    assert list(made.cells[0].labels) == ["regime.ratio", "regime"]


def test_labels_say_what_differs():
    axes = {"regime": [{"kind": "mix", "ratio": 0.5}, {"kind": "mix", "ratio": 1.0}, {"kind": "replace"}]}
    labels = [cell.labels["regime"] for cell in from_tables(changed("axes", axes)).cells]
    assert labels == ["mix(ratio=0.5)", "mix(ratio=1)", "replace"]


def test_the_study_of_a_table_is_the_study(tmp_path):
    """Tables that were written beside results make the same runs again."""
    axes = {"regime": [{"kind": "mix", "ratio": [0.5, 1.0]}, {"kind": "window", "size": 2}], "study.start": ["cold"]}
    made = from_tables(changed("axes", axes))
    again = from_tables(json.loads(json.dumps(made.table())))
    assert [cell.id for cell in again.cells] == [cell.id for cell in made.cells]
    assert [cell.labels for cell in again.cells] == [cell.labels for cell in made.cells]
    assert again.table() == made.table()
    in_python = Study(
        Source(n=10),
        Gaussian(),
        None,
        [Moments()],
        {"regime": [Mix((0.5, 1.0)), Window(size=2)]},
        generations=3,
        seeds=2,
    )
    assert [cell.id for cell in in_python.cells] == [cell.id for cell in made.cells]


def test_what_a_run_is_does_not_depend_on_what_is_asked_of_it(tmp_path):
    base = from_tables(BASE).cells[0]
    for change in (
        ("study", "generations", 9),
        ("study", "seeds", [5]),
        ("study", "keep", "samples"),
        ("metrics", []),
        ("study", "n_synthetic", 10),  # the size of the real set, written out
        ("regime", "weight", 1.0),  # a default, written out
        ("regime", "weight", 1),
    ):
        assert from_tables(changed(*change)).cells[0].id == base.id
    for change in (
        ("source", "n", 11),
        ("source", "std", 2.0),
        ("family", "estimator", "unbiased"),
        ("regime", "ratio", 0.6),
        ("regime", {"kind": "replace"}),
        ("study", "start", "warm"),
        ("study", "initial", "truth"),
        ("study", "n_synthetic", 9),
    ):
        assert from_tables(changed(*change)).cells[0].id != base.id
    # A file is what it holds, not where it lies.
    ids = set()
    for name, mean in (("a", 0.0), ("b", 0.0), ("c", 1.0)):
        path = tmp_path / f"{name}.safetensors"
        save_generator(path, Normal(jnp.full(1, mean), jnp.eye(1)))
        ids.add(from_tables(changed("study", "initial", str(path))).cells[0].id)
    assert len(ids) == 2


def test_an_identity_is_the_same_for_ever():
    """What a directory of results holds is named by it: a change would orphan every result there is."""
    assert identity(from_tables(BASE).cells[0].run) == "aa8cf893909a7bae"


FILE = """
[study]
generations = 3
[source]
kind = "gaussian"
n = 10
[family]
kind = "gaussian"
[regime]
kind = "mix"
[[metrics]]
kind = "moments"
[axes]
"regime.ratio" = [0.5, 1.0]
source.std = [1.0, 2.0]
"""


def test_files_and_changes_of_them(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(FILE)
    assert len(load(path).cells) == 4  # dots quoted or not
    made = load(
        path, ["source.n=20", "study.start=warm", "axes.regime.ratio=[0.5]", "axes.source.std=[1]", "study.seeds=[7]"]
    )
    (cell,) = made.cells
    assert (cell.run.source.n, cell.run.start, made.seeds) == (20, "warm", (7,))
    assert load(path, ["regime.weight = 0.5"]).cells[0].run.regime == Mix(0.5, weight=0.5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["source.n"], "--set source.n: expected table.key=value, such as source.n=100"),
        (["n=3"], "--set n=3: expected table.key=value"),
        (["source.n.m=3"], "--set source.n.m=3: source.n is not a table"),
        (["metrics.kind=moments"], "metrics is not a table"),
        (["metrics.9.kind=moments"], "metrics.9 is not a table"),
        (["source.m=3"], "source: unknown 'm'"),
        (["source.n=ten"], "source.n: expected a valid integer, got 'ten'"),
        (["axes.source.m=[3]"], "'gaussian' has no 'm'"),
        (["regime.kind=real_only"], "axes.regime.ratio: 'real_only' has no 'ratio'; it has no fields"),
        (
            ["source={kind='linear'}"],
            "expected table.key=value, such as source.n=100; whole tables are changed in the file",
        ),
    ],
)
def test_bad_changes(tmp_path, changes, message):
    path = tmp_path / "study.toml"
    path.write_text(FILE)
    with pytest.raises(ConfigError) as caught:
        load(path, changes)
    assert message in str(caught.value)


def test_bad_files(tmp_path):
    with pytest.raises(ConfigError, match="there is no such file"):
        load(tmp_path / "nowhere.toml")
    path = tmp_path / "study.toml"
    for content, message in (
        (b"[study\n", "not TOML"),
        (b"\xff\xfe", "byte 1 is not UTF-8"),
        (b"axes = 3\n", "axes: expected"),
    ):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=message) as caught:
            load(path)
        assert "\n" not in str(caught.value)
    path.write_bytes(b"axes = 3\n")
    with pytest.raises(ConfigError, match=r"axes\.source is not a table"):
        load(path, ["axes.source.n=[3]"])
    os.mkfifo(tmp_path / "pipe")
    for unreadable in (tmp_path, tmp_path / "pipe", "/dev/zero", "a\0b"):
        with pytest.raises(ConfigError, match="cannot be read"):
            load(unreadable)


def test_settings_have_the_documented_defaults():
    made = Study(Source(), Gaussian(), Replace())
    assert dict(made.table()["study"]) == {
        "generations": 11,
        "seeds": 3,
        "initial": "fit",
        "start": "cold",
        "n_synthetic": None,
        "extrapolation": 0.0,
        "keep": "all",
    }
    assert Settings().generations == 11
