"""Classes of one's own as families."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

import selfconsume as sc
from selfconsume.errors import ConfigError
from selfconsume.families.external.python import Python
from selfconsume.models.external import host_family
from selfconsume.sources.gaussian import Gaussian

X = np.arange(8, dtype=np.float32).reshape(4, 2)


@pytest.fixture
def written(tmp_path):
    """Writes a class with these methods; gives its recipe."""

    def write(fit="def fit(self, x): return x", sample="def sample(self, model, n, seed): return model[:n]"):
        path = tmp_path / f"model{len(list(tmp_path.iterdir()))}.py"
        path.write_text(f"import numpy as np\nclass Mine:\n    {fit}\n    {sample}\n")
        return Python(f"{path}:Mine")

    return write


def samples(family, n=4, like=X):
    model = host_family.fit_rows(family, X, np.array([0.0, 1.0, 2.0, 1.0]), None, 0)
    return host_family.draw_samples(family, model, n, 1, like)


def test_rows_are_repeated_unless_the_class_takes_weights(written):
    repeated, valid = samples(written())
    assert sorted(repeated[:, 0]) == [2, 4, 4, 6] and valid.all()
    weighed, _ = samples(written("def fit(self, x, *, weight): return np.stack([weight, weight], axis=1) + 0.0"), n=3)
    assert sorted(weighed[:, 0]) == [1, 1, 2]


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ("def sample(self, model, n, seed): return model[:1]", r"samples have shape \(1, 2\); expected \(4, 2\)"),
        ("def sample(self, model, n, seed): return np.full((n, 2), 'a')", "samples have dtype <U1; expected float32"),
        ("def sample(self, model, n, seed): return model.missing", r"sample failed \(AttributeError: "),
    ],
)
def test_wrong_samples_are_refused_in_one_line(written, sample, message):
    with pytest.raises(ConfigError, match=rf"^family \w+\.py:\w+: {message}"):
        samples(written(sample=sample))


def test_samples_that_are_not_finite_are_invalid(written):
    drawn, valid = samples(written(sample="def sample(self, model, n, seed): return model[:n] * [1, np.inf]"))
    assert not valid.any() and not drawn.any()
    drawn, valid = samples(written(sample="def sample(self, model, n, seed): return 1e300 * model[:n].astype(float)"))
    assert not valid.any()


def test_masked_samples_and_densities_are_not_what_lies_below_the_mask(written):
    family = written(sample="def sample(self, model, n, seed): return np.ma.array(model[:n], mask=[[True, False]] * n)")
    drawn, valid = samples(family)
    assert not valid.any() and not drawn.any()
    family = written(
        "def fit(self, x): return x\n    def log_prob(self, model, x): return np.ma.masked_less(x[:, 0], 3)"
    )
    values = host_family.log_densities(family, X, X)
    np.testing.assert_array_equal(values, np.where(X[:, 0] < 3, np.nan, X[:, 0]))


def test_images_are_bytes(written):
    with pytest.raises(ConfigError, match="samples have dtype float32; expected uint8"):
        samples(written(), like=X.astype(np.uint8))


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        ("def train(self, x): return x", "has no fit"),
        ("def fit(self, x, epochs): return x", "takes 'epochs'"),
        ("def __init__(self, width): pass\n    def fit(self, x): return x", "cannot be made with {}"),
    ],
)
def test_a_class_without_the_contract_is_refused_in_one_line(written, fit, message):
    with pytest.raises(ConfigError, match=message) as error:
        written(fit).check(Gaussian())
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_used_is_refused_in_one_line(tmp_path):
    (tmp_path / "broken.py").write_text("import nothing_like_this\n")
    (tmp_path / "empty.py").write_text("")
    for place, message in {
        "model.py": "expected FILE:CLASS",
        f"{tmp_path}/none.py:Mine": "cannot read",
        f"{tmp_path}/broken.py:Mine": "cannot be imported",
        f"{tmp_path}/empty.py:Mine": "has no class 'Mine'",
    }.items():
        with pytest.raises(ConfigError, match=f"^family.object: .*{message}") as error:
            Python(place).check(Gaussian())
        assert "\n" not in str(error.value)


MODULE = """
import numpy as np

class Own:
    def __init__(self, shrink=1.0):
        self.shrink = shrink

    def fit(self, X, y=None):
        return X.mean(0)

    def sample(self, model, n, seed):
        return model + self.shrink * np.random.default_rng(seed).normal(size=(n, len(model)))

class Half:
    def fit(self, x):
        return None
"""


def test_a_class_in_a_module_is_a_family(tmp_path, monkeypatch):
    (tmp_path / "own_module_of_a_test.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    import own_module_of_a_test as module

    family = sc.family(module.Own, shrink=0.5)
    place = str(tmp_path / "own_module_of_a_test.py")
    assert family == sc.family("python", object=f"{place}:Own", options={"shrink": 0.5})
    assert samples(family)[1].all()  # y has a default, and stays as it is
    with pytest.raises(ConfigError, match=r"^family: Half has no sample; expected a class with fit"):
        sc.family(module.Half)
    with pytest.raises(ConfigError, match=r"^family: expected an estimator, got its class; make one, such as PCA\(\)$"):
        sc.family(PCA)
    with pytest.raises(ConfigError, match="or a class, got a Own; give the class itself"):
        sc.family(module.Own())
    monkeypatch.setattr(module.Own, "__module__", "__main__")
    with pytest.raises(
        ConfigError, match=r"^family: Own has no file of its own, by which its runs are known; write it to"
    ):
        sc.family(module.Own)
