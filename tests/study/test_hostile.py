"""Hostile study files and data end in one refusal, before memory or time is spent."""

import io
import os
import struct
import zipfile

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.study import toml_file
from selfconsume.study.toml_file import from_tables, load, parse

STUDY = """
study = { generations = 2, seeds = 1 }
source = { kind = "gaussian", n = 10 }
family = { kind = "gaussian" }
regime = { kind = "replace" }
metrics = [{ kind = "moments" }]
"""
TABLES = {
    "study": {"generations": 2, "seeds": 1},
    "source": {"kind": "two_moons", "n": 20},
    "family": {"kind": "gaussian"},
    "regime": {"kind": "replace"},
}


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf" + STUDY.encode(), STUDY.replace("\n", "\r\n").encode()])
def test_files_of_windows_editors_are_read(tmp_path, content):
    (tmp_path / "study.toml").write_bytes(content)
    assert load(tmp_path / "study.toml").table() == parse(STUDY, "study.toml").table()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = " + "[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ("a = " + "{a = " * 100_000, "nested too deeply"),
        ("a" + ".a" * 1_000_000 + " = 1", "a dotted key has 16 parts or more"),
        ("[" + " . ".join(["'a'"] * 100_000) + "]", "a dotted key has 16 parts or more"),
        ("[axes]\nx = " + "[" * 40 + "]" * 40, "axes.x: tables or lists are nested more than 16 deep"),
        ("source.n = " + "9" * 5000, "not TOML: Exceeds the limit"),
        ("source.n = " + "9" * 4000, "source.n: expected an integer of at most 64 bits, got one of 13288"),
        ("source.n = 0x" + "f" * 50_000, "source.n: expected an integer of at most 64 bits"),
        (STUDY.replace("n = 10", "n = 2147483648, dim = 10"), "source: 2147483648 \\+ 1000 examples .* of memory"),
        (STUDY.replace("n = 10", "dim = 4294967295"), "source: 1000 \\+ 1000 examples of shape .* of memory"),
        (STUDY.replace("n = 10", "dim = 4294967296"), "source.dim: expected a number of at most 4294967295"),
        (STUDY.replace("generations = 2, seeds = 1", "seeds = 2147483648"), "study.seeds: expected"),
        (STUDY + '"" = 1', "unknown table \\[\\]"),
        (STUDY.replace("generations = 2", "self = 2"), "study: unknown 'self'"),
        (STUDY.replace('kind = "replace"', "") + "axes.regime = [{ kind = 'mix' }]", "regime.kind: missing"),
        (STUDY.replace('"replace"', '"mix", x = 1') + "axes.regime = [{ kind = 'mix' }]", "regime: unknown 'x'"),
    ],
)
def test_bombs_are_refused(text, message):
    with pytest.raises(ConfigError, match=message) as refusal:
        parse(text, "study.toml")
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) <= 300


@pytest.mark.parametrize(
    ("family", "field"),
    [("otcfm", "updates"), ("otcfm", "depth"), ("otcfm", "batch"), ("ddpm", "T"), ("flow", "layers"), ("mixture", "k")],
)
def test_training_without_an_end_is_refused(family, field):
    tables = {**TABLES, "family": {"kind": family, field: 2**31}}
    with pytest.raises(ConfigError, match=f"family.{field}: expected less than or equal to"):
        from_tables(tables)


def test_a_large_mixture_is_refused_before_its_modes_are_made():
    tables = {**TABLES, "source": {"kind": "gaussian_mixture", "k": 2**31, "dim": 2**31}}
    with pytest.raises(ConfigError, match="of memory, this machine has"):
        from_tables(tables)


def test_grids_of_very_many_runs_are_refused_before_they_are_made():
    axes = {"source.n": list(range(1, 10_001)), "n_synthetic": list(range(10_000)), "source.dim": list(range(10_000))}
    with pytest.raises(ConfigError, match="are 1000000000000 runs, at most 100000"):
        from_tables({**TABLES, "axes": axes})


def test_text_in_other_encodings_is_refused(tmp_path):
    (tmp_path / "study.toml").write_bytes(STUDY.encode("utf-16"))
    with pytest.raises(ConfigError, match="byte 1 is not UTF-8; save it as UTF-8 text"):
        load(tmp_path / "study.toml")
    (tmp_path / "study.toml").write_bytes(b"#" * (toml_file.MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="has more than"):
        load(tmp_path / "study.toml")


def test_pipes_and_devices_are_refused_wherever_a_path_stands(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(ConfigError, match="not a regular file"):
            load(path)
        for suffix in ("csv", "npy", "npz", "parquet"):
            link = tmp_path / f"link.{suffix}"
            link.unlink(missing_ok=True)
            link.symlink_to(path)
            with pytest.raises(ConfigError, match="is not a file"):
                from_tables({**TABLES, "source": {"kind": "arrays", "path": str(link)}})
        with pytest.raises(ConfigError, match="is not a regular file"):
            from_tables({**TABLES, "study": {"initial": str(path)}})


def header(shape, rows=b"\0" * 800):
    """A .npy file whose header promises this shape."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue() + rows


@pytest.mark.parametrize("shape", [(10**15,), (10**15, 10**15), (10**9, 2)])
def test_headers_that_promise_more_than_the_file_holds_are_refused(tmp_path, shape):
    (tmp_path / "a.npy").write_bytes(header(shape))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header(shape))
    for name in ("a.npy", "a.npz"):
        with pytest.raises(ConfigError, match="is cut off: its header promises an array of shape"):
            from_tables({**TABLES, "source": {"kind": "arrays", "path": str(tmp_path / name)}})


def test_an_archive_that_unpacks_beyond_memory_is_refused(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header((500_000, 2), b"\0" * 8_000_000))
    monkeypatch.setattr("selfconsume.files.memory.machine_memory", lambda: 20_000_000)
    with pytest.raises(ConfigError, match=r"the \(500000, 2\) numbers of .* take .* of memory; split it|of memory"):
        from_tables({**TABLES, "source": {"kind": "arrays", "path": str(tmp_path / "a.npz")}})


def test_a_checkpoint_that_claims_very_many_numbers_is_refused(tmp_path):
    text = b'{".mean":{"dtype":"F32","shape":[1000000000000000],"data_offsets":[0,4000000000000000]}}'
    (tmp_path / "g.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(ConfigError, match="is not a safetensors file"):
        from_tables({**TABLES, "study": {"initial": str(tmp_path / "g.safetensors")}})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@hypothesis.settings(max_examples=60, suppress_health_check=[hypothesis.HealthCheck.too_slow])
@hypothesis.given(
    role=st.sampled_from(["source", "family", "regime", "curation", "metrics", "axes", "study"]),
    field=st.sampled_from(
        ["n", "kind", "ratio", "estimator", "generations", "seeds", "source.n", "regime", "features"]
    ),
    value=VALUES,
)
def test_a_table_is_accepted_or_refused_whatever_it_holds(role, field, value):
    table = {**TABLES.get(role, {}), field: value}
    tables = {**TABLES, role: [table] if role == "metrics" else table}
    for study in (tables, {**TABLES, role: value}):
        try:
            from_tables(study)
        except ConfigError as refusal:
            assert "\n" not in str(refusal)
