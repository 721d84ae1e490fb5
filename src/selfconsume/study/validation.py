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
from selfconsume.models.external import options

LONGEST = 80
"""Characters of a value in a message."""
LARGEST = 2**32 - 1
"""Largest integer of a field: that of a seed. Sizes and counts have bounds of their own."""


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
    _check_values(table, where)
    try:
        # JSON mode accepts a list where a tuple is meant, and is strict in everything else.
        return _adapter(cls).validate_json(json.dumps(table), strict=True)
    except pydantic.ValidationError as error:
        raise ConfigError(_message(error, table, where)) from None
    except TypeError as error:
        raise ConfigError(f"{where}: {error}") from None


def recipe(role: str, value: Any, where: str) -> Any:
    """A recipe of a role from a table with a ``kind``, or the checked copy of an instance.

    The table of a metric that compares vectors may say on which `features`: the table of an extractor, or its kind.

    Raises:
        ConfigError: No such kind, or see `validated`.
    """
    if isinstance(value, Mapping):
        if "kind" not in value:
            raise ConfigError(f"{where}.kind: missing; expected one of " + ", ".join(map(repr, registry.kinds(role))))
        if not isinstance(value["kind"], str):
            raise ConfigError(f"{where}.kind: expected a name, got {short(value['kind'])}")
        cls = registry.find(role, value["kind"], where)
        table = {name: field for name, field in value.items() if name != "kind"}
        features = table.pop("features", None) if takes_features(role, cls) else None
        instance = validated(cls, table, where)
        return instance if features is None else Featured(instance, _extractor(features, f"{where}.features"))
    if isinstance(value, Featured):
        if not takes_features(role, type(value.metric)):
            raise ConfigError(f"{where}: {registry.kind_of('metric', type(value.metric))!r} does not compare features")
        return Featured(recipe(role, value.metric, where), _extractor(value.features, f"{where}.features"))
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        hint = f"; in Python make one by sc.{role}(...)" if hasattr(value, "__len__") and role != "extractor" else ""
        raise ConfigError(f"{where}: expected a table with a 'kind' or a {role}, got {short(value)}{hint}")
    if not isinstance(value, registry.ROLES[role]):
        raise ConfigError(f"{where}: expected a {role}, got a {type(value).__name__} of {type(value).__module__}")
    return validated(type(value), dataclasses.asdict(value), where)


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


def label(role: str, recipe: Any, siblings: Sequence[Any] = (), omit: Collection[str] = ()) -> str:
    """A short name, such as ``mix(ratio=0.5)``: the kind, and the fields that identify the recipe.

    Args:
        role: The recipe's role.
        recipe: The recipe.
        siblings: Recipes to tell it from. Fields that differ from those of a sibling of the same kind, or from their
            defaults, are shown, and those that the class names in ``shown``.
        omit: Fields that are shown elsewhere, such as axes of their own.
    """
    if name := getattr(recipe, "label", ""):
        return name
    texts = []
    same_kind = [sibling for sibling in siblings if type(sibling) is type(recipe)]
    for field in dataclasses.fields(recipe):
        if field.name in omit:
            continue
        value = getattr(recipe, field.name)
        differs = any(value != getattr(sibling, field.name) for sibling in same_kind)
        if field.name in getattr(recipe, "shown", ()) or value != field.default or differs:
            # Fields of this type are the keyword arguments of another class.
            is_options = value and field.type in ("Options", options.Options)
            texts.append(options.text(value if is_options else ((field.name, value),)))
    kind = registry.kind_of(role, type(recipe))
    return f"{kind}({', '.join(texts)})" if texts else kind


def kind_schema(role: str, kind: str) -> dict[str, Any]:
    """The JSON schema of one kind."""
    cls = registry.find(role, kind)
    schema = _adapter(cls).json_schema()
    schema.pop("$defs", None)
    schema["properties"] = {"kind": {"const": kind}, **schema.get("properties", {})}
    if takes_features(role, cls):
        extractors = registry.kinds("extractor")
        schema["properties"]["features"] = {
            "description": "Feature extractor (a table, or its kind) applied to examples first; default: none.",
            "anyOf": [{"enum": list(extractors)}, *(kind_schema("extractor", extractor) for extractor in extractors)],
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


def metric_summary(metric: Mapping[str, Any]) -> str:
    """The first line of a metric's class and of its extractor's, from the metric's table."""
    text = summary(registry.find("metric", metric["kind"]))
    if "features" not in metric:
        return text
    kind = metric["features"]["kind"]
    return f"{text} Examples are compared as `{kind}`: {summary(registry.find('extractor', kind))}"


def summary(cls: type) -> str:
    """The first line of a class's docstring."""
    return (cls.__doc__ or "").strip().splitlines()[0]


def short(value: Any) -> str:
    """A value as messages show it: long ones are cut."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # An integer of thousands of digits has no decimal form.
        text = f"a {type(value).__name__} that is too long to show"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 4]} ..."


def _extractor(features: Any, where: str) -> Any:
    return recipe("extractor", {"kind": features} if isinstance(features, str) else features, where)


def _check_values(value: Any, where: str) -> None:
    """Refuses numbers that are not finite or too large, and text with null bytes, which no file name can have."""
    if isinstance(value, int) and abs(value) > LARGEST:
        raise ConfigError(f"{where}: expected a number of at most {LARGEST}, got {short(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where}: expected a finite number, got {value}")
    if isinstance(value, str) and "\0" in value:
        raise ConfigError(f"{where}: expected text without null bytes, got {short(value)}")
    if isinstance(value, Mapping):
        for name, entry in value.items():
            _check_values(entry, f"{where}.{name}")
    elif isinstance(value, list | tuple):
        for entry in value:
            _check_values(entry, where)


def _message(error: pydantic.ValidationError, table: Mapping[str, Any], where: str) -> str:
    # A union reports one error for each of its branches; the field is the same, so what they expect is joined.
    errors = error.errors()
    field = str(errors[0]["loc"][0]) if errors[0]["loc"] else ""
    if errors[0]["type"].startswith("missing"):
        return f"{where}.{field}: missing; give it a value"
    of_field = [entry for entry in errors if entry["loc"][:1] == errors[0]["loc"][:1]]
    if table.get(field):
        # A wrong entry leaves the list shorter than allowed: the entry is what matters.
        of_field = [entry for entry in of_field if entry["type"] != "too_short"] or of_field
    expected = " or ".join(dict.fromkeys(map(_expected, of_field)))
    return f"{where}.{field}: expected {expected}, got {short(table.get(field))}"


def _expected(error: Any) -> str:
    """What one of pydantic's errors expects."""
    if error["type"] == "too_short":
        return f"at least {error['ctx']['min_length']} item"
    return error["msg"].removeprefix("Input should be ")
