"""Theory of self-consuming training: closed forms, stability theorems, and which of them apply to a run.

Imports loop, families and everything below; `analysis` sets it beside measurements.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any


class _Theory(types.ModuleType):
    """This package, which can be called: ``selfconsume.theory(study)`` is the answer of `selfconsume.answers.theory`."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        # A function of this name would be replaced as soon as anything imports the package.
        return importlib.import_module("selfconsume.answers.theory").theory(*arguments, **options)


sys.modules[__name__].__class__ = _Theory
