"""Tables of plain values <-> recipes: validation with error messages that say where, what was expected, and what to do."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pydantic

from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.metrics.on_features import Featured, extractor_of


@functools.cache
def _adapter(cls: type) -> pydantic.TypeAdapter:
    return pydantic.TypeAdapter(cls)


def validated(cls: type, table: Mapping[str, Any], where: str) -> Any:
    """An instance of a frozen dataclass from plain values, strictly: no ``"100"`` for a number, no ``true`` for a number.

    Raises:
        ConfigError: A field is unknown, missing, or holds a wrong value.
    """
    names = [field.name for field in dataclasses.fields(cls) if field.init]
    for name in table:
        if name not in names:
            hint = registry.suggest(name, names) if names else "it takes no fields"
            raise ConfigError(f"{where}: unknown {name!r}; {hint}")
    _refuse_nonfinite(table, where)
    try:
        # JSON mode accepts a list where a tuple is meant, and is strict in everything else.
        return _adapter(cls).validate_json(json.dumps(table), strict=True)
    except pydantic.ValidationError as error:
        raise ConfigError(_message(error, table, where)) from None
    except TypeError as error:
        raise ConfigError(f"{where}: {error}") from None


def recipe(role: str, given: Any, where: str) -> Any:
    """A source, family, regime, curation, extractor or metric from a table with a ``kind``, or the checked copy of an instance.

    The table of a metric that compares vectors may say on which `features`: the table of an extractor, or its kind.

    Raises:
        ConfigError: No such kind, or see `validated`.
    """
    if isinstance(given, Mapping):
        if "kind" not in given:
            raise ConfigError(f"{where}.kind: missing; expected one of " + ", ".join(map(repr, registry.kinds(role))))
        if not isinstance(given["kind"], str):
            raise ConfigError(f"{where}.kind: expected a name, got {given['kind']!r}")
        cls = registry.find(role, given["kind"], where)
        table = {name: value for name, value in given.items() if name != "kind"}
        features = table.pop("features", None) if takes_features(role, cls) else None
        made = validated(cls, table, where)
        return made if features is None else Featured(made, _extractor(features, f"{where}.features"))
    if isinstance(given, Featured):
        if not takes_features(role, type(given.metric)):
            raise ConfigError(f"{where}: {registry.kind_of('metric', type(given.metric))!r} does not compare features")
        return Featured(recipe(role, given.metric, where), _extractor(given.features, f"{where}.features"))
    if not dataclasses.is_dataclass(given) or isinstance(given, type):
        raise ConfigError(f"{where}: expected a table with a 'kind' or a {role}, got {given!r}")
    if not isinstance(given, registry.ROLES[role]):
        raise ConfigError(f"{where}: expected a {role}, got a {type(given).__name__} of {type(given).__module__}")
    return validated(type(given), dataclasses.asdict(given), where)


def table_of(role: str, recipe: Any) -> dict[str, Any]:
    """The table of a recipe, all fields written out."""
    if isinstance(recipe, Featured):
        return {**table_of(role, recipe.metric), "features": table_of("extractor", recipe.features)}
    return {"kind": registry.kind_of(role, type(recipe)), **dataclasses.asdict(recipe)}


def kinds_of(metric: Any) -> tuple[str, ...]:
    """The kind of a metric, and of the extractor before it."""
    extractor = extractor_of(metric)
    if extractor is None:
        return (registry.kind_of("metric", type(metric)),)
    return registry.kind_of("metric", type(metric.metric)), registry.kind_of("extractor", type(extractor))


def takes_features(role: str, cls: type) -> bool:
    """Whether recipes of this class may stand behind an extractor."""
    return role == "metric" and getattr(cls, "accepts_features", False)


def label(role: str, recipe: Any, beside: Sequence[Any] = (), elsewhere: Collection[str] = ()) -> str:
    """A short name, such as ``mix(ratio=0.5)``: the kind, and the fields that a reader needs.

    These are the fields that differ from their defaults or from recipes of the kind ``beside`` it, and those that its class
    names in ``shown``; without those that are said ``elsewhere``.
    """
    shown = []
    for field in dataclasses.fields(recipe):
        if field.name in elsewhere:
            continue
        value = getattr(recipe, field.name)
        others = [getattr(other, field.name) for other in beside if type(other) is type(recipe)]
        always = field.name in getattr(recipe, "shown", ())
        if always or value != field.default or any(value != other for other in others):
            shown.append(f"{field.name}={value:g}" if isinstance(value, float) else f"{field.name}={value}")
    kind = registry.kind_of(role, type(recipe))
    return f"{kind}({', '.join(shown)})" if shown else kind


def kind_schema(role: str, kind: str) -> dict[str, Any]:
    """The JSON schema of one kind."""
    cls = registry.find(role, kind)
    schema = _adapter(cls).json_schema()
    schema.pop("$defs", None)
    schema["properties"] = {"kind": {"const": kind}, **schema.get("properties", {})}
    if takes_features(role, cls):
        extractors = registry.kinds("extractor")
        schema["properties"]["features"] = {
            "description": "What examples are turned into first: an extractor, or its kind; without it, nothing.",
            "anyOf": [{"enum": list(extractors)}, *(kind_schema("extractor", each) for each in extractors)],
        }
    schema["required"] = ["kind", *schema.get("required", [])]
    schema["additionalProperties"] = False
    schema["title"] = kind
    schema["description"] = summary(cls)
    return schema


def settings_schema(cls: type) -> dict[str, Any]:
    """The JSON schema of a table without kinds."""
    schema = _adapter(cls).json_schema()
    schema["additionalProperties"] = False
    return schema


def about(metric: Mapping[str, Any]) -> str:
    """What a metric is, from its table: the first line of its class, and of its extractor's."""
    text = summary(registry.find("metric", metric["kind"]))
    if "features" not in metric:
        return text
    seen = registry.find("extractor", metric["features"]["kind"])
    return f"{text} Examples are compared as `{metric['features']['kind']}`: {summary(seen)}"


def summary(cls: type) -> str:
    """The first line of a class's docstring."""
    return (cls.__doc__ or "").strip().splitlines()[0]


def _extractor(given: Any, where: str) -> Any:
    return recipe("extractor", {"kind": given} if isinstance(given, str) else given, where)


def _refuse_nonfinite(value: Any, where: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where}: expected a finite number, got {value}")
    if isinstance(value, Mapping):
        for name, part in value.items():
            _refuse_nonfinite(part, f"{where}.{name}")
    elif isinstance(value, list | tuple):
        for part in value:
            _refuse_nonfinite(part, where)


def _message(error: pydantic.ValidationError, table: Mapping[str, Any], where: str) -> str:
    # A union reports one error for each of its branches; the field is the same, so what they expect is joined.
    first = error.errors()[0]
    field = first["loc"][0] if first["loc"] else ""
    same = [each for each in error.errors() if each["loc"][:1] == first["loc"][:1]]
    if table.get(field):
        # An entry that is wrong leaves the list shorter than allowed: only the entry is worth telling.
        same = [each for each in same if each["type"] != "too_short"] or same
    short = "at least {min_length} item"
    wants = dict.fromkeys(
        short.format(**each["ctx"]) if each["type"] == "too_short" else each["msg"].removeprefix("Input should be ")
        for each in same
    )
    if first["type"].startswith("missing"):
        return f"{where}.{field}: missing; give it a value"
    return f"{where}.{field}: expected {' or '.join(wants)}, got {table.get(field)!r}"
