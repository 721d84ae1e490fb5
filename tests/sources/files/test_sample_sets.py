"""Layouts of other pipelines' samples: what is accepted, and one line for each mistake."""

import pytest

from selfconsume.errors import ConfigError
from selfconsume.sources.files import sample_sets


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return str(root)


def relative(sets, root):
    return {seed: [path.removeprefix(f"{root}/") for path in paths] for seed, paths in sets.paths.items()}


def test_a_folder_of_generations_is_one_sequence_in_the_order_of_numbers(tmp_path):
    path = touch(tmp_path, *(f"gen_{t}.npy" for t in range(12)), "notes.txt", ".gen_0.npy", "gen_3.npy.log.d/x")
    (tmp_path / "gen_3.npy.log.d").rename(tmp_path / "old")
    sets = sample_sets.locate(path)
    assert not sets.has_seeds
    assert relative(sets, path) == {0: [f"gen_{t}.npy" for t in range(12)]}


@pytest.mark.parametrize("name", ["gen_{}", "gen-{}.tar.gz", "gen{:03d}.npz", "generation_{}/0.png"])
def test_names_of_generations(name, tmp_path):
    path = touch(tmp_path, *(name.format(t) for t in range(3)))
    assert relative(sample_sets.locate(path), path) == {0: [name.format(t).removesuffix("/0.png") for t in range(3)]}


def test_folders_of_seeds(tmp_path):
    path = touch(tmp_path, *(f"seed_{seed}/gen_{t}.csv" for seed in (10, 2) for t in range(2)))
    sets = sample_sets.locate(path)
    assert sets.has_seeds
    assert relative(sets, path) == {seed: [f"seed_{seed}/gen_{t}.csv" for t in range(2)] for seed in (2, 10)}


def test_patterns(tmp_path):
    path = touch(tmp_path, *(f"s{seed}/it{t:02d}-s{seed}.npy" for seed in (0, 1) for t in range(3)), "s0/it00-s1.npy")
    sets = sample_sets.locate(f"{path}/s{{seed}}/it{{generation}}-s{{seed}}.npy")
    assert relative(sets, path) == {seed: [f"s{seed}/it{t:02d}-s{seed}.npy" for t in range(3)] for seed in (0, 1)}
    single = sample_sets.locate(f"{path}/s1/it{{generation}}-s1.npy")
    assert not single.has_seeds and len(single.paths[0]) == 3


def test_brackets_in_paths_are_meant_as_they_are(tmp_path):
    path = touch(tmp_path / "run[1]", "a_0.npy", "a_1.npy")
    assert len(sample_sets.locate(f"{path}/a_{{generation}}.npy").paths[0]) == 2


@pytest.mark.parametrize(
    ("names", "path", "message"),
    [
        (["gen_0.npy", "gen_2.npy"], "", r"generation 1 is missing in '.*', the last one is 2; add it"),
        (["gen_1.npy", "gen_2.npy"], "", r"generation 0 is missing"),
        (
            ["gen_0.npy", "gen_00.npy"],
            "",
            r"'.*gen_0.npy' and '.*gen_00.npy' are both generation 0$|are both generation 0",
        ),
        (["seed_0/gen_0", "seed_0/gen_1", "seed_1/gen_0"], "", r"generation 1 of seed 1 is missing"),
        (["seed_0/gen_0", "gen_0"], "", r"holds both 'seed_0' and 'gen_0'; expected gen_0, gen_1"),
        (["a.npy"], "", r"holds no generations; expected gen_0, gen_1, \.\.\. \(files or folders\)"),
        (["gen_0"], "nowhere", r"'.*nowhere' is not a folder"),
        (["a_0"], "b_{generation}", r"holds no generations"),
        (["a_0"], "{t}/a_{generation}", r"unknown \{t\} in '.*'; expected \{generation\} and \{seed\}"),
    ],
)
def test_mistakes_are_one_line(names, path, message, tmp_path):
    root = touch(tmp_path, *names)
    with pytest.raises(ConfigError, match=f"^run 'mine': .*({message})") as refused:
        sample_sets.locate(f"{root}/{path}" if path else root, name="mine")
    assert "\n" not in str(refused.value)


def test_a_missing_path_of_a_list_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"^run 'x': there is no file or folder '.*/b'"):
        sample_sets.locate("", [touch(tmp_path, "a") + "/a", f"{tmp_path}/b"], "x")


def test_the_checksum_follows_names_and_contents(tmp_path):
    first = sample_sets.digest(touch(tmp_path / "a", "0.png", "1.png", ".hidden"))
    assert sample_sets.digest(touch(tmp_path / "b", "0.png", "1.png")) == first
    assert sample_sets.digest(touch(tmp_path / "c", "0.png", "2.png")) != first
    (tmp_path / "b" / "0.png").write_text("1.png")
    assert sample_sets.digest(str(tmp_path / "b")) != first
