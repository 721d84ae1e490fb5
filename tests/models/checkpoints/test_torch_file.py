"""Files are put together byte by byte here, so that they are the same without PyTorch; with it, its own files are read."""

import io
import pickle
import struct
import time
import zipfile

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from selfconsume.errors import ConfigError
from selfconsume.models.checkpoints import safe_pickle, torch_file
from selfconsume.models.checkpoints.safe_pickle import UncalledObject
from selfconsume.models.checkpoints.torch_file import MAGIC, read

VALUES = np.arange(6, dtype=np.float32)


def text(value):
    return b"X" + struct.pack("<i", len(value)) + value.encode()


def blob(value):
    return b"B" + struct.pack("<I", len(value)) + value


def number(value):
    return b"J" + struct.pack("<i", value)


def several(*parts):
    return b"(" + b"".join(parts) + b"t"


def mapping(**parts):
    return b"}(" + b"".join(text(key) + part for key, part in parts.items()) + b"u"


def name(dotted):
    return b"c%s\n%s\n" % tuple(part.encode() for part in dotted.rsplit(".", 1))


def call(dotted, *arguments):
    return name(dotted) + several(*arguments) + b"R"


def storage(count, kind="torch.FloatStorage", key="0"):
    return several(text("storage"), name(kind), text(key), text("cpu"), number(count)) + b"Q"


def tensor(held, offset, size, stride):
    sizes = [several(*map(number, each)) for each in (size, stride)]
    extra = (b"\x89", call("collections.OrderedDict"))
    return call("torch._utils._rebuild_tensor_v2", held, number(offset), *sizes, *extra)


def pickled(body):
    return b"\x80\x02" + body + b"."


def archive(body, records=None, **options):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as out:
        out.writestr("model/data.pkl", pickled(body))
        for key, content in ({"model/data/0": VALUES.tobytes()} if records is None else records).items():
            out.writestr(key, content)
    return file.getvalue()


def stream(body, storages=1):
    parts = [pickle.dumps(part, 2) for part in (MAGIC, 1001, {"little_endian": True})]
    held = struct.pack("<q", len(VALUES)) + VALUES.tobytes()
    return b"".join([*parts, pickled(body), pickle.dumps(["0"] * storages, 2), held * storages])


def module(body):
    """A pickled object that is made by a helper, with a tensor whose storage is a file of the older format."""
    held = call("torch.storage._load_from_bytes", blob(stream(storage(6))))
    return pickled(mapping(ema=call("persistence.made", mapping(state=mapping(_buffers=mapping(w=body(held)))))))


TWO_BY_THREE = mapping(w=tensor(storage(6), 0, (2, 3), (3, 1)), step=number(7))


@pytest.fixture
def found(tmp_path):
    def found(data):
        (tmp_path / "file.pt").write_bytes(data)
        return read(tmp_path / "file.pt", "study.initial")

    return found


@pytest.mark.parametrize("made", [archive, stream])
def test_dictionaries_of_tensors(found, made):
    value = found(made(TWO_BY_THREE))
    assert set(value) == {"w", "step"} and value["step"] == 7
    np.testing.assert_array_equal(value["w"], VALUES.reshape(2, 3))
    assert value["w"].dtype == np.float32 and not value["w"].flags.writeable


@pytest.mark.parametrize("made", [archive, stream])
def test_views(found, made):
    np.testing.assert_array_equal(found(made(tensor(storage(6), 1, (2, 2), (1, 2)))), [[1, 3], [2, 4]])


def test_pickles_of_modules(found):
    ema = found(module(lambda held: tensor(held, 0, (3, 2), (2, 1))))["ema"]
    assert isinstance(ema, UncalledObject) and ema.name == "persistence.made"
    np.testing.assert_array_equal(ema.arguments[0]["state"]["_buffers"]["w"], VALUES.reshape(3, 2))


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("Double", np.array([1.5, -2.0])),
        ("Half", np.array([1.5, -2.0], np.float16)),
        ("Long", np.array([2**40, -3])),
        ("Byte", np.array([255, 1], np.uint8)),
        ("Char", np.array([-128, 1], np.int8)),
        ("Bool", np.array([True, False])),
    ],
)
@pytest.mark.parametrize("order", ["little", "big"])
def test_types_and_byte_orders(found, kind, values, order):
    content = values.astype(values.dtype.newbyteorder(order)).tobytes()
    body = tensor(storage(2, f"torch.{kind}Storage"), 0, (2,), (1,))
    value = found(archive(body, {"model/data/0": content, "model/byteorder": order}))
    np.testing.assert_array_equal(value, values)
    assert value.dtype == values.dtype


def test_bfloat16_becomes_float32_exactly(found):
    values = np.array([1.0, -3.140625, 1e30, np.inf], np.float32)
    content = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    rounded = (values.view(np.uint32) & 0xFFFF0000).view(np.float32)
    value = found(archive(tensor(storage(4, "torch.BFloat16Storage"), 0, (4,), (1,)), {"model/data/0": content}))
    np.testing.assert_array_equal(value, rounded)
    assert value.dtype == np.float32


def test_nothing_is_executed(found, tmp_path):
    """Each way in which a pickle can call something."""
    target = tmp_path / "made"
    for body in (
        call("os.system", text(f"touch {target}")),
        name("os.system") + several(text(f"touch {target}")) + b"\x81",
        b"(" + name("os.system") + text(f"touch {target}") + b"o",
        b"(" + text(f"touch {target}") + b"ios\nsystem\n",
        text("os") + text("system") + b"\x93" + several(text(f"touch {target}")) + b"R",
        call("builtins.exec", text(f"open({str(target)!r}, 'w')")) + mapping(a=number(1)) + b"b",
    ):
        for made in (archive, lambda body: stream(body, 0), pickled):
            node = found(made(body))
            assert isinstance(node, UncalledObject) and node.name in ("os.system", "builtins.exec")
            assert node.arguments[0].endswith((str(target), "w')"))
    assert not target.exists()


def test_what_is_not_known_is_said(found, tmp_path):
    def refused(data, words):
        with pytest.raises(ConfigError, match=words) as error:
            found(data)
        assert str(error.value).startswith("study.initial: ") and "\n" not in str(error.value)

    with pytest.raises(ConfigError, match=r"cannot read .*No such file"):
        read(tmp_path / "none.pt", "study.initial")
    refused(b"", "begins neither like an archive nor like a pickle")
    refused(b"hello", "begins neither like an archive nor like a pickle")
    refused(b"\x80\x02hello", r"is no file of PyTorch, or is damaged \(.*\); download it again")
    refused(archive(TWO_BY_THREE)[:-30], "is no file of PyTorch, or is damaged")
    refused(stream(TWO_BY_THREE)[:-1], "ends before its storages do")
    refused(
        archive(storage(2, "torch.ComplexFloatStorage")), "tensors of type torch.ComplexFloatStorage; known are Double"
    )
    refused(archive(storage(5)), "has 24 bytes, not those of 5 elements")
    refused(archive(tensor(storage(6), 0, (7,), (1,))), "damaged")
    refused(archive(tensor(storage(6), 0, (2,), (-1,))), "sizes are broken")
    refused(archive(TWO_BY_THREE, compression=zipfile.ZIP_DEFLATED), "compressed or encrypted records")
    refused(archive(TWO_BY_THREE, {"model/../data/0": b""}), "leads outside")
    refused(archive(TWO_BY_THREE, {"model/constants.pkl": b""}), "is a TorchScript program; load it in PyTorch")
    refused(
        archive(TWO_BY_THREE, {"model/data/0": VALUES.tobytes(), "model/byteorder": "middle"}), "byte order 'middle'"
    )
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as out:
            out.writestr("some.txt", "text")
        refused(file.getvalue(), r"without data\.pkl \(it holds \['some\.txt'\]\)")
    refused(pickled(storage(6)), "keeps objects outside itself")
    refused(stream(several(text("other"), number(1)) + b"Q"), "keeps a tuple outside its pickle")


def test_small_files_do_not_become_large(found):
    """A text that is made into bytes again and again, views that repeat one number, and lists within lists."""
    again = text("x" * 10_000) + b"q\x00" + b"0" + b"](" + call("_codecs.encode", b"h\x00", text("latin1")) * 100 + b"e"
    with pytest.raises(ConfigError, match="unpacks to much more than its size"):
        found(archive(again))
    assert found(archive(tensor(storage(6), 0, (2**30, 2**10), (0, 0)))).nbytes == 2**42
    broken = tensor(storage(6), 0, (2**30, 2**10), (0, 0)) + b"q\x01" + b"0"
    broken += call("torch._utils._rebuild_tensor_v2", storage(6), number(0), b"h\x01", b"h\x01", b"\x89")
    with pytest.raises(ConfigError, match="sizes are broken"):
        found(archive(broken))
    kinds = (storage(6), storage(6, "torch.cuda.FloatStorage"))
    with pytest.raises(ConfigError, match="storage '0' has two types"):
        found(archive(several(*(tensor(held, 0, (6,), (1,)) for held in kinds))))
    deep = b"(" * 30_000 + b"t" * 30_000
    assert isinstance(found(pickled(deep)), tuple)
    assert len(found(pickled(b"}(" + deep + number(1) + b"u"))) == 1


FILES = {
    "archive": archive(TWO_BY_THREE),
    "stream": stream(TWO_BY_THREE),
    "module": module(lambda held: tensor(held, 0, (3, 2), (2, 1))),
}


@pytest.mark.parametrize("file", FILES)
@settings(max_examples=150)
@given(data=st.data())
def test_damaged_files_are_problems(file, data, tmp_path_factory):
    """Cut, changed and repeated bytes: a value or a problem comes out, soon."""
    content = bytearray(FILES[file])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(["cut", "change", "insert", "repeat"])):
            case "cut":
                del content[at : at + data.draw(st.integers(1, 40))]
            case "change":
                content[at] = data.draw(st.integers(0, 255))
            case "insert":
                content[at:at] = data.draw(st.binary(min_size=1, max_size=8))
            case "repeat":
                content[at:at] = content[at : at + 50]
        content = content or bytearray(b"\x80")
    path = tmp_path_factory.getbasetemp() / f"damaged-{file}"
    path.write_bytes(content)
    start = time.monotonic()
    try:
        read(path, "study.initial")
    except ConfigError as problem:
        assert "\n" not in str(problem)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("how", ["archive", "stream", "protocol 4", "pickle 2", "pickle 5"])
def test_what_pytorch_writes(tmp_path, how):
    torch = pytest.importorskip("torch")
    base = torch.arange(24.0).reshape(4, 6) - 11.5
    layer = torch.nn.Linear(3, 2)
    tensors = {
        "plain": base,
        "turned": base.t(),
        "part": base[1:, ::2],
        "half": base.half(),
        "bfloat16": base.bfloat16(),
        "bytes": base.abs().byte(),
        "long": torch.arange(5) << 40,
        "bool": base > 0,
        "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(3.0),
        "parameter": layer.weight,
        "expanded": torch.ones(1).expand(7),
    }
    value = {
        "tensors": tensors,
        "module": layer,
        "state": layer.state_dict(),
        "rest": [1, 2.5, None, True, "x", b"\xff", (1, 2)],
    }
    path = tmp_path / "file.pt"
    if how.startswith("pickle"):
        path.write_bytes(pickle.dumps(value, int(how[-1])))
    else:
        protocol = 4 if how == "protocol 4" else 2
        torch.save(value, path, _use_new_zipfile_serialization=how != "stream", pickle_protocol=protocol)
    got = read(path, "study.initial")
    assert got["rest"] == value["rest"]
    for key, wanted in tensors.items():
        wanted = (wanted.float() if key == "bfloat16" else wanted).detach().numpy()
        np.testing.assert_array_equal(got["tensors"][key], wanted)
        assert got["tensors"][key].dtype == wanted.dtype and got["tensors"][key].shape == wanted.shape
    assert got["module"].name == "torch.nn.modules.linear.Linear"
    for held in (got["module"].state["_parameters"], got["state"]):
        np.testing.assert_array_equal(held["weight"], layer.weight.detach().numpy())


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_limits_and_forms_that_are_not_read(found, monkeypatch):
    def refused(data, words):
        with pytest.raises(ConfigError, match=words):
            found(data)

    with io.BytesIO(archive(TWO_BY_THREE)) as file:
        with zipfile.ZipFile(file, "a") as out:
            out.writestr("model/data/0", bytes(24))
        refused(file.getvalue(), "holds two records of one name")
    view = several(text("0:0:2"), number(0), number(2))
    held = several(text("storage"), name("torch.FloatStorage"), text("0"), text("cpu"), number(6), view) + b"Q"
    refused(stream(tensor(held, 0, (2,), (1,))), "holds views of storages, as PyTorch before 0.4 wrote them")
    older = stream(TWO_BY_THREE).replace(pickle.dumps(1001, 2), pickle.dumps(1000, 2))
    refused(older, "has version '1000' of torch.save's old format; expected 1001")
    # Only plain pickles hold files of the older format.
    inside = call("torch.storage._load_from_bytes", blob(stream(storage(6))))
    refused(archive(tensor(inside, 0, (6,), (1,))), "a tensor's storage holds further storages")
    with monkeypatch.context() as patch:
        patch.setattr(torch_file, "MAX_BYTES", 100)
        refused(archive(TWO_BY_THREE), "has more than 100 bytes")
    with monkeypatch.context() as patch:
        patch.setattr(torch_file, "MAX_RECORDS", 1)
        refused(archive(TWO_BY_THREE), "holds 2 records; at most 1 are read")
    monkeypatch.setattr(safe_pickle, "MAX_OPCODES", 10)
    refused(archive(TWO_BY_THREE), "more than 10 instructions")
