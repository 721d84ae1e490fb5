"""Fits to images, killed within a generation and continued: the same bits as without the kill."""

import os
import signal
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest

from selfconsume.execution import commit, restore, run_study
from selfconsume.families.otcfm import OTCFM
from selfconsume.lanes import fit_chunks, generation_programs, lane_batch
from selfconsume.loop.run import Run
from selfconsume.models.nets.unet import SIZES, Sizes
from selfconsume.regimes.replace import Replace
from selfconsume.results import store
from selfconsume.results.format import DATA
from selfconsume.sources.digits import Digits

SCRIPT = """
    import os, signal, sys, threading
    from selfconsume.start_jax import start_jax
    start_jax()
    from selfconsume.execution import compute_task, run_study
    from selfconsume.lanes import fit_chunks
    from selfconsume.models.nets.unet import SIZES, Sizes
    from selfconsume.results.writer import Writer
    from selfconsume.study.study import Study

    SIZES["tiny"] = Sizes(4, (1, 2), 1, (4,))
    DIGITS = {"kind": "digits", "form": "image", "n": 48, "n_test": 20}

    def study(source=DIGITS, updates=14):
        family = {"kind": "otcfm", "net": "tiny", "updates": updates, "batch": 8, "pairing_block": 4, "steps": 1,
            "dropout": 0.1, "augment": 0.2, "ema": 0.9}
        return Study(source, family, None, [{"kind": "nonfinite"}], {"regime": [{"kind": "mix", "ratio": 0.5}]},
            generations=2, seeds=1, start="warm")

    def killed(study, out, checkpoints):
        \"\"\"Ends this process without notice while it computes after so many checkpoints.\"\"\"
        fit_chunks.CHUNK_SECONDS = compute_task.CHECKPOINT_SECONDS = 0.0
        commit, seen = Writer.commit, []
        def committed(self, kind, **fields):
            commit(self, kind, **fields)
            seen.append(kind)
            if seen.count("unfinished") == checkpoints:
                threading.Timer(0.002, os.kill, (os.getpid(), signal.SIGKILL)).start()
        Writer.commit = committed
        run_study.execute(study, out)
"""


def written(out):
    """Everything stored, by name."""
    opened, found = store.Store(out), {}
    for segment in opened.segments:
        for file, sha256 in ((segment.file, segment.sha256), (segment.state, segment.state_sha256)):
            if (opened.path / DATA / file).exists():
                with opened.tensors(file, sha256) as tensors:
                    found |= {(segment.last, name): tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
    return found


def kill_and_resume(tmp_path, call, monkeypatch, checkpoints):
    """One process is killed twice, this one ends what they began, and does it all again in one go."""
    script = tmp_path / "images_study.py"
    script.write_text(textwrap.dedent(SCRIPT))
    out = tmp_path / "out"
    code = f"import images_study as it; it.killed(it.{call}, {str(out)!r}, {{}})"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    reached = []
    for count in checkpoints:
        done = subprocess.run(
            [sys.executable, "-c", code.format(count)], env=environment, capture_output=True, text=True, timeout=900
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        opened = store.Store(out)
        (held,) = opened.unfinished.values() or [None]
        reached.append((held.generation, held.file))
    assert len(set(reached)) == len(reached)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "images_study", raising=False)
    monkeypatch.setitem(SIZES, "tiny", SIZES["tiny"])  # the script's is forgotten at the end
    import images_study

    study = eval(call, vars(images_study))
    continued = []
    start = restore.start

    def spied(opened, task):
        found = start(opened, task)
        continued.extend([opened.unfinished[name].file for name in opened.unfinished] if found.partial else [])
        return found

    monkeypatch.setattr(restore, "start", spied)
    notes = []
    monkeypatch.setattr(commit, "COMMIT_SECONDS", 0.0)
    run_study.execute(study, out)
    assert continued == [reached[-1][1]]
    run_study.execute(study, tmp_path / "whole", on_progress=lambda progress: notes.append(progress.text))
    assert any(", loss 0." in note or ", loss 1." in note for note in notes)
    first, second = written(out), written(tmp_path / "whole")
    assert first.keys() == second.keys() and any("optimizer" in name for _, name in first)
    for name, each in first.items():
        np.testing.assert_array_equal(each, second[name], err_msg=str(name))
    return first


@pytest.mark.slow
def test_a_killed_fit_to_digits_is_continued_to_the_same_bits(tmp_path, monkeypatch):
    """The first process dies in generation 0, the second one in generation 1."""
    first = kill_and_resume(tmp_path, "study()", monkeypatch, [2, 2])
    assert {t for t, _ in first} == {0, 1}


@pytest.mark.slow
def test_two_generations_on_photographs(tmp_path, monkeypatch, at_hand):
    """1,000 images of CIFAR-10, a network of toy size, killed within both generations."""
    path = str(at_hand("cifar-10-batches-bin", "cifar-10-binary.tar.gz"))
    source = f"dict(kind='cifar10', path={path!r}, n=1000, n_test=200)"
    first = kill_and_resume(tmp_path, f"study({source}, updates=14)", monkeypatch, [2, 2])
    samples = [each for (_, name), each in first.items() if name.endswith("/samples")]
    assert len(samples) == 2 and all(each.shape == (1, 1000, 32, 32, 3) for each in samples)
    assert all(each.dtype == np.uint8 and each.std() > 10 for each in samples)


def test_where_a_fit_is_split_changes_no_bit(layout, monkeypatch):
    """In large parts or update by update, as time allows. The loss is that of the whole fit."""
    monkeypatch.setitem(SIZES, "tiny", Sizes(4, (1,), 1, ()))
    family = OTCFM(updates=28, batch=8, pairing_block=4, steps=1, ema=0.9)
    run = Run(Digits(n=24, n_test=20, form="image"), family, Replace())

    def fitted():
        items = list(lane_batch.LaneBatch([run], [0], layout).generations([], 0))
        return items[-1], [int(item.fit.iteration[0]) for item in items[:-1]]

    monkeypatch.setattr(fit_chunks, "CHUNK_SECONDS", 1e6)
    split, ends = fitted()
    monkeypatch.setattr(fit_chunks, "CHUNK_SECONDS", 0.0)
    slow, slow_ends = fitted()
    assert (ends, slow_ends) == ([8, 24], [8, *range(9, 28)])
    jax.tree.map(np.testing.assert_array_equal, (split.samples, split.fit), (slow.samples, slow.fit))
    assert 0.5 < split.fit.loss[0] < 5


def test_a_dispatch_reuses_the_buffers_of_the_fit_alone(layout, monkeypatch):
    """As on accelerators. Images stay bytes on the device; the average is part of the same program."""
    from selfconsume.lanes.layout import DeviceLayout

    monkeypatch.setitem(SIZES, "tiny", Sizes(4, (1,), 1, ()))
    family = OTCFM(updates=16, batch=8, pairing="independent", steps=1, ema=0.9)
    run = Run(Digits(n=24, n_test=20, form="image"), family, Replace())
    vectorised = DeviceLayout(layout.devices, loop=False)
    mine = lane_batch.LaneBatch([run] * 2, [0, 1], vectorised)
    seen = []

    def recorded(build):
        def built(*given):
            program = build(*given)

            def called(count, shared, lanes):
                out = program(count, shared, lanes)
                seen.append((lanes, out))
                return out

            return called

        return built

    monkeypatch.setattr(generation_programs, "advance", recorded(generation_programs.advance))
    list(mine.generations([], 0))
    assert len(seen) >= 2
    for lanes, out in seen:
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves(lanes["fit"]))
        assert not any(leaf.is_deleted() for leaf in jax.tree.leaves((lanes["keys"], lanes["numbers"])))
        assert out.data.x.dtype == np.uint8
