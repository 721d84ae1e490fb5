"""`selfconsume schema`."""

from __future__ import annotations


def schema() -> None:
    """Print the JSON schema of study files, for editors."""
    import json

    from selfconsume.study.json_schema import study_schema

    print(json.dumps(study_schema(), indent=2))
