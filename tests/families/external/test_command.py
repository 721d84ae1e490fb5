"""Commands as families."""

import dataclasses
import sys

import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.families.external.command import Command
from selfconsume.models.external import host_family
from selfconsume.sources.gaussian import Gaussian
from selfconsume.sources.text.zipf import Zipf

X = np.arange(8, dtype=np.float32).reshape(4, 2)
TRAIN = "import sys, numpy as np; np.save(sys.argv[2], np.load(sys.argv[1])['x'])"
SAMPLE = "import sys, numpy as np; np.savez(sys.argv[2], np.load(sys.argv[1])[:int(sys.argv[3])])"


def command(train=TRAIN, sample=SAMPLE, **fields):
    return Command(
        f'{sys.executable} -c "{train}" {{data}} {{model}}.npy {{seed}}',
        f'{sys.executable} -c "{sample}" {{model}}.npy {{out}} {{n}} {{seed}}',
        **fields,
    )


def samples(family):
    model = host_family.fit_rows(family, X, np.array([0.0, 1.0, 2.0, 1.0]), None, 0)
    return host_family.draw_samples(family, model, 4, 1, X)[0]


def test_files_go_to_a_command_and_come_back():
    command().check(Gaussian())
    assert sorted(samples(command())[:, 0]) == [2, 4, 4, 6]


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (
            command(train="print(1); print(2); exit(3)"),
            r"^family.train: '.*' ended with exit code 3; last output: 1 \| 2$",
        ),
        (command(sample="raise OSError(5)"), "^family.sample: .* ended with exit code 1; last output: .*OSError: 5$"),
        (command(train="pass"), r"^family.train: '.*' wrote no file model.npy \(there is data.npz\)$"),
        (
            command(sample="import sys; open(sys.argv[2], 'w').write('x')"),
            "^family.sample: samples.npz is not one array",
        ),
        (command(train="import time; time.sleep(9)", time_limit=0.2), "took longer than 0.2 seconds"),
    ],
)
def test_a_command_that_fails_is_one_line(family, message):
    with pytest.raises(ConfigError, match=message) as error:
        samples(family)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"train": "python {data}"}, r"^family.train: .* does not use \{model\}; expected \{data\}, \{model\}, "),
        ({"sample": "python {model} {out} {seeds}"}, r"^family.sample: unknown \{seeds\}; expected "),
        ({"train": "'"}, "^family.train: .* cannot be split"),
        ({"train": "no-such-program {data} {model} {seed}"}, "^family.train: no program 'no-such-program'"),
    ],
)
def test_a_template_that_cannot_work_is_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(command(), **fields).check(Gaussian())


def test_files_that_commands_name_are_part_of_the_identity(tmp_path):
    script = tmp_path / "train.py"
    script.write_text("1")
    family = Command(f"python {script} {{data}} {{model}} {{seed}}", "python {model} {out} {seed}")
    first = family.fingerprint()
    script.write_text("2")
    assert first and family.fingerprint() != first
    assert command().fingerprint() == ""


def test_documents_go_and_come_back_as_json_lines():
    train = "import sys, shutil; shutil.copy(sys.argv[1], sys.argv[2])"
    sample = (
        "import sys, json; rows = [json.loads(line) for line in open(sys.argv[1])][:int(sys.argv[3])]; "
        "open(sys.argv[2], 'w').writelines(json.dumps(row) + chr(10) for row in rows)"
    )
    family = Command(
        f'{sys.executable} -c "{train}" {{data}}.jsonl {{model}}.txt {{seed}}',
        f'{sys.executable} -c "{sample}" {{model}}.txt {{out}}.jsonl {{n}} {{seed}}',
    )
    family.check(Zipf())
    x = np.arange(8, dtype=np.int32).reshape(4, 2)
    model = host_family.fit_rows(family, x, np.ones(4), None, 0)
    drawn, valid = host_family.draw_samples(family, model, 4, 1, x)
    assert drawn.dtype == np.int32 and valid.all()
    np.testing.assert_array_equal(drawn[np.argsort(drawn[:, 0])], x)
    broken = dataclasses.replace(family, sample=family.sample.replace("json.dumps(row)", "'x'"))
    with pytest.raises(ConfigError, match=r"samples.jsonl is not lines of"):
        host_family.draw_samples(broken, model, 4, 1, x)


COPY = "shutil.copy(sys.argv[1], sys.argv[2])"
PACK = "shutil.make_archive(sys.argv[2], 'tar', sys.argv[1]); os.rename(sys.argv[2] + '.tar', sys.argv[2])"
UNPACK = "shutil.unpack_archive(sys.argv[1], sys.argv[2], 'tar')"


def pictures(suffix, sample=None):
    """A model that is an archive of its training pictures."""
    pack, unpack, model = (PACK, UNPACK, "{model}") if suffix == "/" else (COPY, COPY, "{model}.zip")
    train = f"import sys, os, shutil; {pack}"
    return Command(
        f'{sys.executable} -c "{train}" {{data}}{suffix} {model} {{seed}}',
        f'{sys.executable} -c "import sys, shutil; {sample or unpack}" {model} {{out}}{suffix} {{seed}}',
    )


@pytest.mark.parametrize("suffix", ["/", ".zip"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_go_and_come_back_in_a_folder_or_a_zip(suffix, channels):
    x = np.random.default_rng(0).integers(0, 256, (12, 5, 4, channels)).astype(np.uint8)
    family = pictures(suffix)
    model = host_family.fit_rows(family, x, np.ones(12), None, 0)
    np.testing.assert_array_equal(family.sample_model(model, 12, 1), x)


@pytest.mark.parametrize(
    ("suffix", "sample", "message"),
    [
        ("/", "pass", r"^family.sample: samples holds no pictures \(\.png, "),
        (".zip", "open(sys.argv[2], 'w').write('x')", "^family.sample: samples.zip is not a zip of pictures"),
        (".zip", "pass", r"^family.sample: '.*' wrote no file samples.zip \(there is model.zip\)$"),
        ("/", "open(sys.argv[2] + '/a.png', 'w').write('x')", "^family.sample: samples: a.png is no picture"),
    ],
)
def test_pictures_that_are_none_are_refused(suffix, sample, message):
    x = np.zeros((2, 5, 4, 1), np.uint8)
    family = pictures(suffix, sample)
    model = host_family.fit_rows(family, x, np.ones(2), None, 0)
    with pytest.raises(ConfigError, match=message):
        family.sample_model(model, 2, 1)


def test_vectors_are_no_pictures():
    with pytest.raises(ConfigError, match=r"^family.train: pictures are uint8 .* exchange them as npz$"):
        host_family.fit_rows(pictures(".zip"), X, np.ones(4), None, 0)


def test_log_densities_come_from_a_third_command():
    density = "import sys, numpy as np; np.savez(sys.argv[3], -np.load(sys.argv[2])['x'].sum(1))"
    family = command(log_prob=f'{sys.executable} -c "{density}" {{model}}.npy {{data}} {{out}}')
    family.check(Gaussian())
    model = host_family.fit_rows(family, X, np.ones(4), None, 0)
    assert family.has_log_prob and not command().has_log_prob
    np.testing.assert_array_equal(host_family.log_densities(family, model, X), -X.sum(1))
    with pytest.raises(ConfigError, match=r"^family.log_prob: .* does not use \{data\}; expected"):
        command(log_prob="python {model} {out}").check(Gaussian())
