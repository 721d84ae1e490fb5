"""Models that are known by their recorded samples alone."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Le

from selfconsume.errors import ConfigError
from selfconsume.models.external.host_family import HostFamily


@dataclasses.dataclass(frozen=True)
class Recorded(HostFamily):
    """The model of another pipeline, of which only samples are known: one file or folder of them for each generation.

    Nothing is fitted. The regime, of kind "recorded" too, says where the samples are; see `selfconsume evaluate`.

    Attributes:
        bootstrap: Resamples of each generation's examples that give the standard errors of a single sequence; 0: none. No part
            of a run's identity.
    """

    bootstrap: Annotated[int, Ge(0), Le(100_000)] = 0

    is_recorded: ClassVar[bool] = True
    takes: ClassVar[Any] = "any"

    @classmethod
    def tiny(cls) -> Recorded:
        """The smallest configuration, for tests."""
        return cls()

    def fit_model(self, x: np.ndarray, *, weight: np.ndarray, start: Any, seed: int) -> Any:
        raise ConfigError("family: recorded samples are not fitted; evaluate them with `selfconsume evaluate`")

    def sample_model(self, model: Any, n: int, seed: int) -> Any:
        raise ConfigError("family: recorded samples are read from files; evaluate them with `selfconsume evaluate`")
