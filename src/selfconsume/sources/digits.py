"""Real images without a download: the handwritten digits shipped with scikit-learn."""

from __future__ import annotations

import dataclasses
import functools
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge

from selfconsume.sources.dataset_source import DatasetSource, Rows


@dataclasses.dataclass(frozen=True)
class Digits(DatasetSource):
    """1797 real handwritten digits of 8 x 8 pixels, flattened or as images, with labels.

    The test part of the UCI "Optical Recognition of Handwritten Digits" set, as `sklearn.datasets.load_digits` gives it;
    its grey levels are 0 to 16. A fixed random permutation splits the examples into ``n_test`` test examples, ``n``
    training examples and the reserve for fresh draws (297 by default).

    Attributes:
        n: Training examples.
        n_test: Held-out examples, the same for every ``n``.
        form: "flat": float32 (64,), grey level / 16, in [0, 1]. "image": uint8 (8, 8, 1), grey level x 255 / 16 rounded.

    References:
        Alpaydin and Kaynak 1998, doi:10.24432/C50P49.
    """

    version: ClassVar[int] = 2
    common_unit: ClassVar[bool] = True

    n: Annotated[int, Ge(1)] = 1000
    n_test: Annotated[int, Ge(2)] = 500
    form: Literal["flat", "image"] = "flat"

    ink_shape = (8, 8)

    @classmethod
    def tiny(cls) -> Digits:
        return cls(n=40, n_test=20)

    def fingerprint(self) -> str:
        """Empty: scikit-learn's copy of the digits never changes."""
        return ""

    def rows(self) -> Rows:
        return _load(self.form)

    def split_sizes(self) -> tuple[int, int]:
        return self.n, self.n_test


@functools.cache
def _load(form: str) -> Rows:
    from sklearn.datasets import load_digits

    pixels, labels = (np.asarray(array) for array in load_digits(return_X_y=True))
    if form == "flat":
        examples = (pixels / 16).astype(np.float32)
    else:
        examples = np.rint(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    return Rows(examples, labels.astype(np.int32))
