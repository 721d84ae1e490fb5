import json

import jax
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from selfconsume.errors import ConfigError
from selfconsume.execution import restore, run_study
from selfconsume.loop.generation_zero import initial_generator
from selfconsume.results import export_generator
from selfconsume.results.store import Store
from selfconsume.study.study import Study


def study(**settings):
    return Study({"kind": "gaussian", "n": 10}, {"kind": "gaussian"}, {"kind": "replace"}, [], **settings)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "out"
    run_study.execute(study(seeds=[0, 3], generations=2), path)
    return Store(path)


def test_a_generator_is_taken_out_and_starts_another_study(stored, tmp_path):
    (cell,) = study(seeds=1, generations=1).cells
    file = export_generator.generator(stored, tmp_path / "g.safetensors", seed=3, generation=1)
    expected = restore.fit(stored, cell.run, [(cell.id, 3)], 1).generator
    (again,) = (each.run for each in study(seeds=1, generations=1, initial=str(file)).cells)
    got = initial_generator(again)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[0]), got, expected)
    with safe_open(file, "numpy") as opened:
        facts = opened.metadata()
    assert facts["run"] == cell.id and facts["seed"] == "3" and facts["generation"] == "1"
    assert json.loads(facts["study"])["family"]["kind"] == "gaussian"
    assert facts["results_sha256"] in {s.sha256 for s in stored.segments}
    before = export_generator.generator(stored, tmp_path / "before.safetensors", seed=3, generation=-2)
    with safe_open(before, "numpy") as opened:
        assert opened.metadata()["generation"] == "0"
    last = export_generator.generator(stored, tmp_path / "last.safetensors", run=cell.id[:6], seed=3)
    jax.tree.map(np.testing.assert_array_equal, load_file(last), load_file(file))


def test_what_is_not_there_is_told(stored, tmp_path):
    out = tmp_path / "g.safetensors"
    with pytest.raises(ConfigError, match=r"expected --out to end in \.safetensors, got"):
        export_generator.generator(stored, tmp_path / "g.pt")
    with pytest.raises(ConfigError, match="expected one run that begins with 'zz', found 0 of 1; give --run one of"):
        export_generator.generator(stored, out, run="zz")
    with pytest.raises(ConfigError, match="has no seed 1; it has 0, 3"):
        export_generator.generator(stored, out, seed=1)
    with pytest.raises(ConfigError, match="has generations 0 to 1, not 2"):
        export_generator.generator(stored, out, generation=2)
    with pytest.raises(ConfigError, match="cannot write"):
        export_generator.generator(stored, tmp_path / "none" / "g.safetensors")


def test_where_only_samples_were_kept_the_last_generator_is_there(tmp_path):
    run_study.execute(study(seeds=1, generations=2, keep="samples"), tmp_path / "out")
    store = Store(tmp_path / "out")
    assert export_generator.generator(store, tmp_path / "g.safetensors").exists()
    with pytest.raises(ConfigError, match=r"generation 0 of run .*, seed 0 was not kept; run the study with keep"):
        export_generator.generator(store, tmp_path / "g.safetensors", generation=0)
