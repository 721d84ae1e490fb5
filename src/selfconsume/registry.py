"""Kind names: what a study file, `selfconsume list` and the contract tests know of.

A kind is a name for a class; the class does not know it. Modules are imported when a kind is used, so that listing names
costs nothing. Kinds of your own are registered by the modules that installed packages name in the entry-point group
`GROUP`; they are imported when a kind is asked for that is not known, or when all kinds are listed.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
from importlib import metadata
from typing import Any

from selfconsume.errors import ConfigError
from selfconsume.types import Curation, Extractor, Family, Metric, Regime, Source

ROLES: dict[str, type] = {
    "source": Source,
    "family": Family,
    "regime": Regime,
    "curation": Curation,
    "extractor": Extractor,
    "metric": Metric,
}

_KINDS: dict[str, dict[str, str | type]] = {
    "source": {
        "gaussian": "sources.gaussian:Gaussian",
        "gaussian_mixture": "sources.gaussian_mixture:GaussianMixture",
        "eight_gaussians": "sources.eight_gaussians:EightGaussians",
        "two_moons": "sources.two_moons:TwoMoons",
        "swiss_roll": "sources.swiss_roll:SwissRoll",
        "checkerboard": "sources.checkerboard:Checkerboard",
        "categorical": "sources.categorical:Categorical",
        "linear": "sources.linear:Linear",
        "digits": "sources.digits:Digits",
        "mnist": "sources.mnist:Mnist",
        "cifar10": "sources.cifar10:Cifar10",
        "ffhq64": "sources.ffhq64:Ffhq64",
        "folder": "sources.folder:Folder",
        "arrays": "sources.arrays:Arrays",
    },
    "family": {
        "gaussian": "families.gaussian:Gaussian",
        "mixture": "families.mixture:Mixture",
        "kde": "families.kde:Kde",
        "categorical": "families.categorical:Categorical",
        "linear_regression": "families.linear_regression:LinearRegression",
        "otcfm": "families.otcfm:OTCFM",
        "ddpm": "families.ddpm:DDPM",
        "edm": "families.edm:EDM",
        "flow": "families.flow:NormalizingFlow",
    },
    "regime": {
        "real_only": "regimes.real_only:RealOnly",
        "mix": "regimes.mix:Mix",
        "replace": "regimes.replace:Replace",
        "accumulate": "regimes.accumulate:Accumulate",
        "window": "regimes.window:Window",
        "subsample": "regimes.subsample:Subsample",
        "fresh": "regimes.fresh:Fresh",
    },
    "curation": {
        "top_q": "curations.top_q:TopQ",
        "bradley_terry": "curations.bradley_terry:BradleyTerry",
        "verifier": "curations.verifier:Verifier",
        "correction": "curations.correction:Correction",
    },
    "extractor": {
        "pixels": "extractors.pixels:Pixels",
        "inception": "extractors.inception:Inception",
        "classifier": "extractors.classifier:Classifier",
    },
    "metric": {
        "parameters": "metrics.parameters:Parameters",
        "update": "metrics.parameters:Update",
        "nonfinite": "metrics.parameters:Nonfinite",
        "moments": "metrics.moments:Moments",
        "frechet": "metrics.frechet:Frechet",
        "frechet_infinity": "metrics.frechet:FrechetInfinity",
        "kid": "metrics.kid:KID",
        "sliced_wasserstein": "metrics.transport:SlicedWasserstein",
        "wasserstein": "metrics.transport:Wasserstein",
        "energy_distance": "metrics.kernel:EnergyDistance",
        "mmd": "metrics.kernel:MMD",
        "neighbours": "metrics.neighbours:Neighbours",
        "nearest_real": "metrics.nearest_real:NearestReal",
        "labels": "metrics.labels:Labels",
        "mode_coverage": "metrics.mode_coverage:ModeCoverage",
        "log_likelihood": "metrics.log_likelihood:LogLikelihood",
        "prediction_error": "metrics.prediction_error:PredictionError",
    },
}

GROUP = "selfconsume"
"""Packages name modules in this entry-point group of theirs."""

_ALONG = {(role, kind) for role, kinds in _KINDS.items() for kind in kinds}


def roles() -> tuple[str, ...]:
    """What there are kinds of."""
    return tuple(_KINDS)


def kinds(role: str) -> tuple[str, ...]:
    """The kind names of one role, in the order in which they are listed."""
    plug_in()
    return tuple(_KINDS[role])


def find(role: str, kind: str, where: str | None = None) -> type:
    """The class of a kind.

    Raises:
        ConfigError: There is no such kind; the message names the nearest one.
    """
    table = _KINDS[role]
    failed = plug_in() if kind not in table else ()
    if kind not in table:
        raise ConfigError("; ".join([f"{where or role}.kind: unknown {kind!r}", suggest(kind, table), *failed]))
    entry = table[kind]
    if isinstance(entry, str):
        module, name = entry.split(":")
        table[kind] = entry = getattr(importlib.import_module(f"selfconsume.{module}"), name)
    return entry


def kind_of(role: str, cls: type) -> str:
    """The name of a class; classes that are not registered are named by their module and name."""
    for kind in _KINDS[role]:
        if find(role, kind) is cls:
            return kind
    return f"{cls.__module__}:{cls.__qualname__}"


def nondefault_table(role: str, recipe: Any) -> dict[str, Any]:
    """A recipe by its kind, the fields that differ from their defaults, and its class's `version` where that is above 1.

    Stored results are identified by it: a field with a default can be added to a class and orphans none of them.
    """
    table = {"kind": kind_of(role, type(recipe))}
    if type(recipe).version > 1:
        table["version"] = type(recipe).version
    values = dataclasses.asdict(recipe)
    return table | {
        field.name: values[field.name]
        for field in dataclasses.fields(recipe)
        if not _is_default(field, getattr(recipe, field.name))
    }


def _is_default(field: dataclasses.Field, value: Any) -> bool:
    factory = field.default_factory
    default = field.default if factory is dataclasses.MISSING else factory()
    # True equals 1, but is another value.
    return isinstance(value, bool) == isinstance(default, bool) and bool(value == default)


def register(role: str, kind: str, cls: type) -> None:
    """Makes your own class a kind in this process; of a module in the entry-point group `GROUP`, for the command too.

    Raises:
        ConfigError: The name is taken by another class, or the class is not of that role.
    """
    if role not in _KINDS:
        raise ConfigError(f"register: unknown role {role!r}; {suggest(role, _KINDS)}")
    if not (isinstance(cls, type) and issubclass(cls, ROLES[role])):
        raise ConfigError(f"register: expected a subclass of {ROLES[role].__name__} for {role} {kind!r}, got {cls!r}")
    if kind in _KINDS[role] and find(role, kind) is not cls:
        raise ConfigError(f"register: {role} {kind!r} is taken; choose another name")
    _KINDS[role][kind] = cls


def comes_along(role: str, kind: str) -> bool:
    """Whether this package brings the kind; others must be registered wherever they are used."""
    return (role, kind) in _ALONG


@functools.cache
def plug_in() -> tuple[str, ...]:
    """Imports the modules of `GROUP`, which register their kinds, once; says of each that cannot be imported why."""
    failed = []
    for entry in metadata.entry_points(group=GROUP):
        try:
            entry.load()
        except Exception as error:
            why = " ".join(f"{type(error).__name__}: {error}".split())
            failed.append(f"the plug-in {entry.name!r} ({entry.value}) cannot be loaded: {why}")
    return tuple(failed)


def suggest(word: str, known: Any) -> str:
    """``did you mean 'x'?`` if something is near, else the list of what there is."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else "expected one of " + ", ".join(map(repr, known))
