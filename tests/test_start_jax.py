"""JAX is started by the first computation, not by an import, and the process that uses the package stays as it was."""

import os
import subprocess
import sys
import textwrap

import pytest

OWN = ("EQX_ON_ERROR", "JAX_NUM_CPU_DEVICES", "PJRT_NPROC", "XLA_FLAGS")


def process(*parts):
    """Standard output and error of a script, in parts, in a process without settings of ours."""
    clean = {name: value for name, value in os.environ.items() if name not in OWN}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(map(textwrap.dedent, parts))],
        env=clean,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout, done.stderr


RUN = """
    def run(out):
        study = sc.Study(sc.source("gaussian", n=20, n_test=20), sc.family("gaussian"), sc.regime("replace"),
            [sc.metric("moments")], generations=2, seeds=2)
        return sc.run(study, out).table()
"""


def test_an_import_changes_neither_the_environment_nor_jax():
    process("""
        import os
        import jax, polars  # which set variables of their own
        before = dict(os.environ)
        import selfconsume as sc
        from selfconsume import Study, run, source
        assert dict(os.environ) == before
        assert jax.config.jax_num_cpu_devices < 1 and jax.config.jax_compilation_cache_dir is None
        jax.config.update("jax_num_cpu_devices", 3)  # refused if JAX had been started
    """)


def test_a_run_has_two_devices_and_leaves_the_environment_alone(tmp_path):
    process(
        """
        import os, warnings, jax, polars
        warnings.simplefilter("error")
        import selfconsume as sc
        """,
        RUN,
        f"""
        before = dict(os.environ)
        assert set(run({str(tmp_path / "out")!r})["status"]) == {{"ok"}}
        import jax
        assert len(jax.devices()) > 1
        assert dict(os.environ) == before
        """,
    )


def test_jax_that_runs_already_is_used_with_one_device_and_one_warning(tmp_path):
    _, error = process(
        """
        import jax, jax.numpy as jnp
        jnp.zeros(3).sum()
        import selfconsume as sc
        """,
        RUN,
        f"""
        for name in ("one", "two"):
            assert set(run({str(tmp_path)!r} + "/" + name)["status"]) == {{"ok"}}
        """,
    )
    assert error.count("JAX was started with one CPU device before selfconsume") == 1


def test_the_number_of_devices_that_the_user_has_set_is_kept():
    out, _ = process("""
        import jax
        jax.config.update("jax_num_cpu_devices", 5)
        from selfconsume.lanes.layout import DeviceLayout
        print(len(DeviceLayout.default().devices))
    """)
    assert out == "5\n"


@pytest.mark.parametrize("before", ["", "jax.config.update('jax_num_cpu_devices', 4); jax.devices()"])
def test_linear_algebra_in_lanes_finds_a_thread(before):
    """Batched calls wait for a thread beyond those of the devices: for ever, if XLA's pool has none."""
    out, _ = process(f"""
        import os, jax, jax.numpy as jnp, numpy as np
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
        {before}
        from selfconsume.lanes.lane_program import lane_program
        from selfconsume.lanes.layout import DeviceLayout
        layout = DeviceLayout.default()
        program = lane_program(lambda shared, lane: jnp.linalg.eigh(lane["x"] @ lane["x"].mT)[1], layout)
        x = np.random.default_rng(0).normal(size=(8, 4096, 8, 8)).astype(np.float32)
        jax.block_until_ready(program(8, None, layout.put({{"x": x}})))
        print(len(layout.devices))
    """)
    assert int(out) == (3 if before else 2)


CHECKED = """
    import dataclasses, jax, jax.numpy as jnp, equinox as eqx, numpy as np
    import selfconsume as sc
    from selfconsume.lanes.lane_program import lane_program
    from selfconsume.lanes.layout import DeviceLayout

    def checked(x):
        return eqx.error_if(x, x < 0, "negative")

    def raises():
        try:
            jax.block_until_ready(jax.jit(checked)(jnp.array(-1.0)))
        except Exception as error:
            return "negative" in str(error)
"""


@pytest.mark.parametrize("first", ["", "assert raises()"])
def test_a_failed_check_is_nan_in_its_lane_and_an_error_elsewhere(first):
    """Whichever is traced first: the traces of a function inside and outside of lanes are kept apart."""
    process(
        CHECKED,
        f"""
    layout = DeviceLayout.default()
    {first}
    program = lane_program(lambda shared, lane: checked(lane["x"]), layout)
    y = np.asarray(program(2, None, layout.put({{"x": np.array([1.0, -1.0], np.float32)}})))[:2]
    assert y[0] == 1 and np.isnan(y[1]), y
    assert raises()
        """,
    )
