"""Models of one's own as a Python class."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.files.regular import read_bytes
from selfconsume.models.external.host_family import HostFamily
from selfconsume.models.external.options import Options, keywords
from selfconsume.types import Source

METHODS = ("fit", "sample", "save", "load", "log_prob")
KEYWORDS = ("weight", "start", "seed")
"""What `fit` may take besides the examples."""


@dataclasses.dataclass(frozen=True)
class Python(HostFamily):
    """A Python class of one's own with ``fit`` and ``sample``, in PyTorch or any other library.

    The class has ``fit(self, x, *, start, seed)``, which returns a model, and ``sample(self, model, n, seed)``, which returns
    an array. A class with ``save(self, model, path)`` and ``load(self, path)`` can start warm: ``start`` is then a model,
    otherwise None. Examples are repeated where a regime weighs them, unless ``fit`` also takes ``weight``, their
    multiplicities. ``fit`` may leave out ``start`` and ``seed``. Metrics of the density need ``log_prob(self, model, x)``, log
    densities in nats, one for each example. The checksum of the file is part of a run's identity: keep
    everything that determines numbers in it.

    Attributes:
        object: File and class, such as ``my_model.py:MyModel``.
        options: Keyword arguments of the class.
    """

    object: str
    options: Options = ()

    takes: ClassVar[str] = "any"
    code_fields = ("object",)

    @property
    def takes_weight(self) -> bool:
        return "weight" in self._fit_keywords()

    @property
    def can_start(self) -> bool:
        methods = self._methods()
        return "start" in self._fit_keywords() and "save" in methods and "load" in methods

    def fit_model(self, x: np.ndarray, *, weight: np.ndarray, start: Any, seed: int) -> Any:
        values = {"weight": weight, "start": start, "seed": seed}
        return self._instance().fit(x, **{name: values[name] for name in self._fit_keywords()})

    def sample_model(self, model: Any, n: int, seed: int) -> Any:
        return self._instance().sample(model, n, seed)

    @property
    def has_log_prob(self) -> bool:
        return "log_prob" in self._methods()

    def log_prob_model(self, model: Any, x: np.ndarray) -> Any:
        return self._instance().log_prob(model, x)

    def save_model(self, model: Any, path: Path) -> None:
        self._instance().save(model, path)

    def load_model(self, path: Path) -> Any:
        return self._instance().load(path)

    @property
    def title(self) -> str:
        path, name = self._place()
        return f"{Path(path).name}:{name}"

    def fingerprint(self) -> str:
        """The class's name and the checksum (sha256) of its file."""
        path, name = self._place()
        return f"{name} {hashlib.sha256(_source(path)).hexdigest()}"

    def check(self, source: Source) -> None:
        methods = self._methods()
        for method in ("fit", "sample"):
            if method not in methods:
                raise ConfigError(
                    f"family.object: {self.object} has no {method}; expected fit(x, *, weight, start, seed) and "
                    "sample(model, n, seed)"
                )
        self._fit_keywords()
        self._instance()

    def _fit_keywords(self) -> list[str]:
        """The keywords among weight, start and seed that `fit` takes."""
        parameters = list(inspect.signature(self._class().fit).parameters.values())[2:]
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            return list(KEYWORDS)
        for parameter in parameters:
            # One with a default, such as scikit-learn's y, may stay as it is.
            if parameter.name not in KEYWORDS and parameter.default is parameter.empty:
                raise ConfigError(
                    f"family.object: fit of {self.object} takes {parameter.name!r}; expected fit(x, *, weight, start, seed)"
                )
        return [parameter.name for parameter in parameters if parameter.name in KEYWORDS]

    def _methods(self) -> set[str]:
        return {name for name in METHODS if callable(getattr(self._class(), name, None))}

    def _instance(self) -> Any:
        options = keywords(self.options)
        try:
            return self._class()(**options)
        except TypeError as error:
            raise ConfigError(f"family.options: {self.object} cannot be made with {options} ({error})") from None

    def _class(self) -> Any:
        path, name = self._place()
        cls = getattr(_module(path, _source(path)), name, None)
        if not isinstance(cls, type):
            raise ConfigError(f"family.object: {path} has no class {name!r}; give FILE:CLASS")
        return cls

    def _place(self) -> tuple[str, str]:
        path, _, name = self.object.rpartition(":")
        if not path or not name.isidentifier():
            raise ConfigError(f"family.object: expected FILE:CLASS, such as my_model.py:MyModel, got {self.object!r}")
        return path, name


def recipe_of(cls: type, options: dict[str, Any]) -> dict[str, Any]:
    """The table of a class of one's own: its file and name, and its keyword arguments.

    Raises:
        ConfigError: It lacks `fit` or `sample`, is an estimator's class, or has no file of its own: that of a script would run
            the whole script again.
    """
    if callable(getattr(cls, "get_params", None)):
        raise ConfigError(f"family: expected an estimator, got its class; make one, such as {cls.__name__}()")
    if not all(callable(getattr(cls, method, None)) for method in ("fit", "sample")):
        raise ConfigError(
            f"family: {cls.__qualname__} has no {'sample' if hasattr(cls, 'fit') else 'fit'}; expected a class with "
            "fit(x, *, weight, start, seed) and sample(model, n, seed)"
        )
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if file is None or cls.__module__ == "__main__" or "." in cls.__qualname__:
        raise ConfigError(
            f"family: {cls.__qualname__} has no file of its own, by which its runs are known; write it to a module, such as "
            f"my_model.py, and give my_model.{cls.__name__} or 'my_model.py:{cls.__name__}' as object of kind 'python'"
        )
    return {"kind": "python", "object": f"{file}:{cls.__name__}", "options": options}


def _source(path: str) -> bytes:
    try:
        return read_bytes(path)
    except OSError as error:
        raise ConfigError(f"family.object: cannot read {path!r} ({error.strerror}); give FILE:CLASS") from None


@functools.cache
def _module(path: str, source: bytes) -> Any:
    """The module of a source text; another text is another module."""
    name = f"selfconsume_object_{hashlib.sha256(source).hexdigest()[:16]}"
    spec = importlib.util.spec_from_loader(name, loader=None, origin=path)
    module = importlib.util.module_from_spec(spec) if spec else None
    assert module is not None
    module.__file__ = path
    sys.modules[name] = module  # dataclasses look their module up
    try:
        exec(compile(source, path, "exec"), vars(module))
    except Exception as error:
        del sys.modules[name]
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"family.object: {path} cannot be imported ({reason[:400]})") from error
    return module
