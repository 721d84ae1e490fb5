"""The Python face: what people try first is answered."""

import pytest

import selfconsume as sc


def test_a_path_is_no_study(tmp_path):
    with pytest.raises(
        sc.ConfigError, match=r"^run: expected a Study, got 'study.toml'; load\(path\) reads a study file$"
    ):
        sc.run("study.toml", tmp_path / "out")
    assert not (tmp_path / "out").exists()
