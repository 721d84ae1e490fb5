"""Estimators of scikit-learn, and other objects with its interface."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import inspect
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.models.external.host_family import HostFamily
from selfconsume.models.external.options import Options, keywords, plain
from selfconsume.types import Source


@dataclasses.dataclass(frozen=True)
class Sklearn(HostFamily):
    """A scikit-learn estimator, or another class with ``fit(X)`` and ``sample(n)``: a new one for every fit.

    Examples are passed as float64. Weights are passed as ``sample_weight`` if ``fit`` takes it; otherwise examples are
    repeated. ``random_state`` is set from the run's seed, for the fit and for its samples; a class without one draws from
    NumPy's global generator, which is seeded around each call and restored. Estimators cannot be saved, so that every fit
    is a cold start. Log densities are those of ``log_prob`` or of scikit-learn's ``score_samples``. The version of the
    estimator's library is part of a run's identity.

    Attributes:
        estimator: Import path of the class, such as ``sklearn.mixture.GaussianMixture``.
        options: Its keyword arguments, without ``random_state``.
    """

    estimator: str
    options: Options = ()

    code_fields = ("estimator",)

    @classmethod
    def tiny(cls) -> Sklearn:
        return cls("sklearn.mixture.GaussianMixture", (("n_components", 2),))

    @property
    def takes_weight(self) -> bool:
        return "sample_weight" in _parameters(_class_at(self.estimator).fit)

    def fit_model(self, x: np.ndarray, *, weight: np.ndarray, start: Any, seed: int) -> Any:
        model = self._estimator(seed)
        options = {"sample_weight": weight.astype(np.float64)} if (weight > 1).any() else {}
        with _numpy_seed(seed):
            model.fit(x.astype(np.float64), **options)
        return model

    def sample_model(self, model: Any, n: int, seed: int) -> Any:
        if hasattr(model, "random_state"):
            model.random_state = seed
        options = {"random_state": seed} if "random_state" in _parameters(model.sample) else {}
        with _numpy_seed(seed):
            samples = model.sample(n, **options)
        # Mixtures of scikit-learn give the labels of the components too.
        return samples[0] if isinstance(samples, tuple) else samples

    @property
    def has_log_prob(self) -> bool:
        return _density_method(_class_at(self.estimator)) is not None

    def log_prob_model(self, model: Any, x: np.ndarray) -> Any:
        name = _density_method(type(model))
        assert name is not None
        return getattr(model, name)(x.astype(np.float64))

    def fingerprint(self) -> str:
        """The library's version."""
        library = sys.modules[_class_at(self.estimator).__module__.partition(".")[0]]
        return str(getattr(library, "__version__", ""))

    def check(self, source: Source) -> None:
        if len(source.shape) != 1:
            raise ConfigError(
                f"family: 'sklearn' takes vectors, the source gives examples of shape {source.shape}; flatten them"
            )
        if "random_state" in keywords(self.options):
            raise ConfigError("family.options: random_state is set from the run's seed; drop it")
        self._estimator(0)

    def _estimator(self, seed: int) -> Any:
        cls, options = _class_at(self.estimator), keywords(self.options)
        seeded = {"random_state": seed} if "random_state" in _parameters(cls) else {}
        try:
            return cls(**options, **seeded)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"family.options: {self.estimator} cannot be made with {options} ({error})") from None


def recipe_of(estimator: Any) -> dict[str, Any]:
    """The table of an estimator: its class and the parameters that differ from their defaults.

    A ``random_state`` is left out: every fit gets one from the run's seed.

    Raises:
        ConfigError: It has no ``fit``, ``sample`` or ``get_params``, its class cannot be imported, or a parameter is no plain
            value.
    """
    cls = type(estimator)
    if not callable(getattr(estimator, "get_params", None)):
        raise ConfigError(
            f"family: expected a kind name, an estimator with fit, sample and get_params or a class, got a {cls.__name__}; "
            "give the class itself, without calling it, for a class of your own"
        )
    options = {}
    for name, value in estimator.get_params(deep=False).items():
        parameter = _parameters(cls).get(name)
        if name == "random_state" or (parameter is not None and parameter.default is value):
            continue
        try:
            if parameter is None or value != parameter.default:
                options[name] = plain(value)
        except (TypeError, ValueError):
            raise ConfigError(
                f"family: parameter {name} of {cls.__name__} is a {type(value).__name__}; expected a number, a text or a "
                "list of these; use kind 'python' for a class of your own"
            ) from None
    return {"kind": "sklearn", "estimator": _public_path(cls), "options": options}


def _public_path(cls: type) -> str:
    """The shortest import path of a class: packages re-export what private modules define."""
    parts = cls.__module__.split(".")
    for size in range(1, len(parts) + 1):
        module = importlib.import_module(".".join(parts[:size]))
        if getattr(module, cls.__name__, None) is cls:
            return f"{module.__name__}.{cls.__name__}"
    raise ConfigError(f"family: {cls.__qualname__} cannot be imported from {cls.__module__}; define it in a module")


@functools.cache
def _class_at(path: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"family.estimator: cannot import {path!r} ({error}); give the path of a class, such as "
            "'sklearn.mixture.GaussianMixture'"
        ) from None
    for method in ("fit", "sample"):
        if not callable(getattr(cls, method, None)):
            raise ConfigError(f"family.estimator: {path} has no {method}; expected a class with fit(X) and sample(n)")
    return cls


def _density_method(cls: type) -> str | None:
    """The method that gives log densities of examples; None if there is none."""
    return next((name for name in ("log_prob", "score_samples") if callable(getattr(cls, name, None))), None)


def _parameters(function: Any) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(function).parameters)


@contextlib.contextmanager
def _numpy_seed(seed: int) -> Iterator[None]:
    """NumPy's global generator with a seed, for objects that draw from it; restored at the end."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.set_state(np.random.RandomState(seed).get_state())  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
