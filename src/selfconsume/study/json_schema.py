"""The JSON schema of study files."""

from __future__ import annotations

from typing import Any

from selfconsume import registry
from selfconsume.study import validation
from selfconsume.study.claim import Claim
from selfconsume.study.settings import PARTS, CompareSettings, Settings


def study_schema() -> dict[str, Any]:
    """The schema of a study file: editors complete kinds and fields from it and underline mistakes."""
    kinds = {
        role: {"oneOf": [validation.kind_schema(role, kind) for kind in registry.kinds(role)]}
        for role in registry.roles()
    }
    settings, claim = validation.settings_schema(Settings), validation.settings_schema(Claim)
    parts = claim.pop("$defs")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "selfconsume study",
        "type": "object",
        "properties": {
            "study": settings,
            "source": kinds["source"],
            "family": kinds["family"],
            "regime": kinds["regime"],
            "curation": kinds["curation"],
            "representation": kinds["representation"],
            "metrics": {"type": "array", "items": kinds["metric"]},
            "axes": {
                "type": "object",
                "description": "Any field, or a whole object, to its values; several axes make a grid.",
                "additionalProperties": {"anyOf": [{"type": "array", "minItems": 1}, {"type": "object"}]},
            },
            "compare": validation.settings_schema(CompareSettings),
            "claim": claim,
        },
        "additionalProperties": False,
        "allOf": [{"not": _both(role)} for role in PARTS],
        "$defs": parts,
    }


def _both(role: str) -> dict[str, Any]:
    """What matches a study file with a table and an axis of the same recipe."""
    return {"required": [role, "axes"], "properties": {"axes": {"required": [role]}}}
