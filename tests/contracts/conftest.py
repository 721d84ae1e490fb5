"""Everything that is registered, at its smallest: registering a kind is what puts it under test."""

import numpy as np
import pytest

from selfconsume import registry


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The tiny configuration of a kind.

    Regimes and curations are their defaults; only `arrays` needs something from outside, a file.
    """
    path = tmp_path_factory.mktemp("arrays") / "rows.npy"
    np.save(path, np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32))

    def make(role, kind):
        cls = registry.find(role, kind)
        if role in ("regime", "curation"):
            return cls()
        return cls(path=str(path), n=20, n_test=20) if (role, kind) == ("source", "arrays") else cls.tiny()

    return make
