"""`selfconsume list`: what there is, what fields may be, what they mean."""

import dataclasses
import re

import pytest

from selfconsume import registry
from selfconsume.cli import main
from selfconsume.cli.display import kinds
from selfconsume.regimes.mix import Mix
from selfconsume.study import toml_file, validation

KINDS = [(role, kind) for role in registry.roles() for kind in registry.kinds(role)]


@pytest.fixture
def call(monkeypatch, capsys):
    """Runs `selfconsume list`; gives exit code, output and errors."""
    monkeypatch.setattr(kinds.OUT, "width", 100)  # whoever imported it first has set it

    def run(*words):
        monkeypatch.setattr("sys.argv", ["selfconsume", "list", *words])
        with pytest.raises(SystemExit) as stop:
            main.main()
        return (stop.value.code, *capsys.readouterr())

    return run


def test_all_kinds_are_listed_with_defaults_and_choices(call):
    code, out, _ = call()
    assert code == 0
    assert [line for line in out.splitlines() if not line.startswith(" ")] == list(registry.roles())
    assert re.findall(r"^  (\w+)  \S", out, re.M) == [kind for _, kind in KINDS]
    for shown in (
        'net = "auto" | "mlp" | "tiny" | "ddpm_32" | "torchcfm_32" | "edm_32" | "edm_64", width = 64',
        'schedule = "cosine" | "constant", warmup_updates = 0, cold_warmup_updates = none',
        'bandwidth = "scott" | number > 0 | "silverman"',
        'weight = none | number >= 0 and <= 1 | "golden"',
        "path (required), side = none, channels = 3 | 1",
        'bandwidths = [0.25, 0.5, 1.0, 2.0], estimator = "biased" | "unbiased"',
    ):
        assert shown in out


def test_metrics_that_take_features_say_so(call):
    _, out, _ = call("metric")
    entries = dict(re.findall(r"^  (\w+)  .*\n((?:      .*\n)?)", out, re.M))
    takes = {kind for kind in entries if validation.takes_features("metric", registry.find("metric", kind))}
    assert 5 < len(takes) < len(entries)
    assert {kind for kind, fields in entries.items() if 'features = none | "pixels" | "inc' in fields} == takes


@pytest.mark.parametrize(("role", "kind"), KINDS)
def test_every_field_of_a_kind_is_explained(role, kind, capsys):
    """Those that it inherits too."""
    kinds.show(role, kind)
    out = capsys.readouterr().out
    assert out.startswith(f"{role} {kind}\n") and "Attributes:" not in out and "Besides the fields" not in out
    explained = re.findall(r"^  (\w+) (?:= .*|\(required\))  \(.+\)\n      \S", out, re.M)
    cls = registry.find(role, kind)
    known = ["features"] if validation.takes_features(role, cls) else []
    fields = sorted(dataclasses.fields(cls), key=lambda field: field.kw_only)
    assert explained == [field.name for field in fields] + known


def test_one_kind_in_full(call):
    code, out, _ = call("family", "edm")
    assert code == 0 and max(map(len, out.splitlines())) <= 100
    assert "\nReferences:\n    Karras et al. 2022, arXiv:2206.00364" in out
    assert '\n  warm_from = "ema"  ("ema" | "raw")\n      Weights from which a warm start continues' in out
    assert "\n  beta1 = 0.9  (number >= 0 and < 1)\n      Adam's decay rate of the first moment.\n" in out
    assert "\n  steps = 18  (integer >= 2 and <= 100000)\n      Noise levels of sampling, before level 0;" in out
    _, out, _ = call("metrics", "labels")
    assert "for the first `most` classes.\n- `labels.covered`: share" in out


def test_lists_and_alternatives():
    schema = validation.kind_schema("regime", "fresh")["properties"]
    assert kinds._allowed(schema["n_real"]) == ["integer >= 1", "[integer >= 1, ...]", "none"]
    assert kinds._allowed({"type": "array", "items": {"anyOf": [{"type": "string"}, {"const": 3}]}}) == [
        "[text | 3, ...]"
    ]
    assert kinds._allowed({"type": "boolean"}) == ["true", "false"]


def test_kinds_of_your_own_are_listed(monkeypatch, capsys):
    monkeypatch.setitem(registry._KINDS, "regime", dict(registry._KINDS["regime"]))

    @dataclasses.dataclass(frozen=True)
    class Mine(Mix):
        extra: int = 3

    registry.register("regime", "mine", Mine)
    kinds.show("regime", "mine")
    out = capsys.readouterr().out
    # What is not explained is shown all the same.
    assert "\n  weight = 1.0  (number >= 0)\n      Weight of a synthetic" in out and "\n  extra = 3  (integer)\n" in out


def test_presets_are_listed_and_shown(call):
    for name in ("presets", "preset"):
        code, out, _ = call(name)
        assert code == 0 and re.findall(r"^  (\w+)", out, re.M) == list(toml_file.presets())
    code, out, _ = call("presets", "kazdan_2024")
    assert code == 0 and out.strip() == toml_file.presets()["kazdan_2024"].strip()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bogus"], "list: unknown 'bogus'; expected one of 'source', .*, 'metric', 'presets'"),
        (["familly"], r"list: unknown 'familly'; did you mean 'family'\?"),
        (["family", "edmm"], r"family.kind: unknown 'edmm'; did you mean 'edm'\?"),
        (["presets", "kazdan"], r"list presets: unknown 'kazdan'; did you mean 'kazdan_2024'\?"),
    ],
)
def test_what_there_is_not(call, words, message):
    code, out, error = call(*words)
    assert code == 2 and not out and re.fullmatch(f"error: {message}\n", error)
