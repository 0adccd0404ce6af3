"""Pickles scanned: what they import is found whatever way it is spelt, and nothing of them runs."""

import bz2
import collections
import gzip
import io
import lzma
import pickle
import pickletools
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_load_exporter.artifacts import compressed, joblib_files, pickles
from model_load_exporter.artifacts.bounded import Damaged
from model_load_exporter.artifacts.pickle_globals import Global, is_harmless, is_needed, runs_code
from model_load_exporter.artifacts.pickle_scan import Scan, scan
from model_load_exporter.artifacts.verify import verify
from support.hostile import refused, within

RUN = Global("posix", "system")


def scanned(data: bytes) -> Scan:
    return scan(lambda offset, length: data[offset : offset + length], 0, len(data))


def short(text: str) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text.encode()


class Marker:
    """Leaves a trace if a pickle runs."""

    def __reduce__(self) -> tuple[object, ...]:
        return print, ("it ran",)


@pytest.mark.parametrize(
    "data",
    [
        b"cposix\nsystem\n(S'id'\ntR.",
        b"(S'id'\niposix\nsystem\n.",
        b"(cposix\nsystem\nS'id'\no.",
        b"\x80\x02cposix\nsystem\nX\x02\0\0\0id\x85R.",
        b"\x80\x04" + short("posix") + short("system") + b"\x93" + short("id") + b"\x85R.",
        b"\x80\x04\x95\x20\0\0\0\0\0\0\0" + short("posix") + short("system") + b"\x93)\x81.",
        b"\x80\x04" + short("posix") + b"\x94" + short("x") + b"\x940" + b"0h\0" + short("system") + b"\x93)R.",
        b"\x80\x04" + short("posix") + b"r\x40\x42\x0f\0000j\x40\x42\x0f\0" + short("system") + b"\x93)R.",
        b"\x80\x04" + short("posix") + short("system") + b"(K\x01K\x021\x93)R.",
        b"\x80\x04" + short("posix") + short("system") + b"K\x0120\x30\x93)R.",
        b"\x80\x04(" + short("posix") + short("system") + b"\x93lK\x01.",
        b"\x80\x04Vposix\nVsystem\n\x93)R.",
        b"\x80\x04U\x05posixU\x06system\x93)R.",
        b"\x80\x04X\x05\0\0\0posix\x8d\x06\0\0\0\0\0\0\0system\x93)R.",
        b"\x80\x04" + short("posix") + b"p0\n0g0\n" + short("system") + b"\x93)R.",
        b"\x80\x02cposix\nsystem\n)}\x92.",
        b"\x80\x02cposix\nsystem\n",
        b"\x80\x02cposix\nsystem\n\xff",
        b"\x80\x05" + b"\x96\x04\0\0\0\0\0\0\0abcd\x97\x980cposix\nsystem\n)R.",
    ],
)  # fmt: skip
def test_an_import_is_found_whatever_way_it_is_spelt(data: bytes) -> None:
    """By line, by stack, through memo, marks and old strings; in a pickle that breaks off behind it, too."""
    assert RUN in scanned(data).globals


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04" + short("posix") + b"K\x01\x93.",
        b"\x80\x04S'po\\x73ix'\n" + short("system") + b"\x93.",
        b"\x80\x04Vpo\\u0073ix\n" + short("system") + b"\x93.",
        b"\x80\x04X\xff\xff\0\0" + b"a" * 65535 + short("system") + b"\x93.",
        b"\x80\x02}}\x81.",
        b"\x80\x02ccollections\nOrderedDict\n)R)R.",
        b"\x80\x02\x82\x01)R.",
    ],
    ids=["number", "escaped", "unicode", "long", "dict", "called-twice", "extension"],
)
def test_what_is_computed_is_found(data: bytes) -> None:
    """A name that is no plain text, and a call of what is no name: nobody can say what these run."""
    found = scanned(data)
    assert found.computed
    with pytest.raises(Damaged) as caught:
        pickles.judge([found], strict=False)
    assert caught.value.reason == "unsafe_pickle"


@pytest.mark.parametrize("protocol", range(6))
def test_a_real_pickle_is_read_to_its_end(protocol: int) -> None:
    """Its imports are those that the standard library's own disassembler sees."""
    data = pickle.dumps([Marker(), collections.OrderedDict(a=1), {1, 2}, b"\xff" * 300, 2**80, "é" * 400], protocol)
    found = scanned(data)

    assert (found.broken, found.end) == (None, len(data))
    assert {name.name for name in found.globals} >= {"print", "OrderedDict"}


_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner) | st.frozensets(st.text())
    ),
    max_leaves=30,
)


@given(_PLAIN, st.integers(0, 5))
def test_data_of_any_kind_is_read_to_its_end_and_imports_nothing(value: object, protocol: int) -> None:
    """As the standard library's disassembler does; old protocols import for bytes and sets."""
    data = pickle.dumps(value, protocol) + b"rest"
    found = scanned(data)

    assert (found.broken, found.end) == (None, len(data) - 4)
    expected = {str(arg) for op, arg, _ in pickletools.genops(data) if op.name == "GLOBAL"}
    if protocol < 4:
        assert {f"{name.module} {name.name}" for name in found.globals} == expected
    assert all(is_harmless(name) for name in found.globals)
    assert not found.computed


@given(st.binary(max_size=400))
def test_any_bytes_are_borne(data: bytes) -> None:
    """Whatever follows the first bytes of a pickle: an answer, and none behind its end."""
    found = scanned(b"\x80\x04" + data)
    assert 0 <= found.end <= len(data) + 2


def test_nothing_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The pickle's call is told, not made: no list has it, and it rebuilds nothing."""
    file = tmp_path / "m.pkl"
    file.write_bytes(pickle.dumps(Marker()))
    error = refused(pickles.read, file)
    assert error.reason == "unsafe_pickle"
    assert "builtins.print" in str(error)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02" + b"N" * 4_500_000,
        b"\x80\x02" + b"(" * 3_000_000,
        b"\x80\x02X" + struct.pack("<I", 2**32 - 1),
        b"\x80\x04\x8d" + struct.pack("<Q", 2**63),
        b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1),
        b"\x80\x02" + b"]q\x00" + b"h\x00a" * 1_000_000,
        b"\x80\x02)" + b"\x85" * 1_000_000,
        b"I" + b"1" * 3_000_000,
        b"c" + b"a" * 3_000_000,
    ],
    ids=["values", "marks", "string", "long-string", "long", "appends", "tuples", "digits", "line"],
)
def test_a_hostile_pickle_costs_little(data: bytes) -> None:
    """Claimed lengths, deep nesting and endless repetition."""
    with within(seconds=8, mebibytes=200):
        assert scanned(data).broken


@pytest.mark.parametrize(
    "name",
    [
        "os.system", "nt.system", "subprocess.Popen", "builtins.eval", "__builtin__.exec", "builtins.getattr",
        "importlib.import_module", "runpy.run_path", "socket.create_connection", "torch.load", "torch.hub.load",
        "numpy.load", "functools.partial", "operator.attrgetter", "pickle.loads", "_pickle.loads", "marshal.loads",
        "types.FunctionType", "torch.serialization.load", "torch.utils.cpp_extension.load", "codecs.open",
        "torch.storage._load_from_bytes", "logging.config.fileConfig", "ctypes.CDLL", "builtins.__import__",
        "urllib.request.urlopen", "multiprocessing.util.spawnv_passfds", "webbrowser.open", "shutil.rmtree",
        "torch.ops.load_library", "torch.classes.load_library", "torch._C._load_library", "tensorflow.load_op_library",
        "tensorflow.keras.models.load_model", "keras.models.load_model", "keras.src.layers.core.lambda_layer.Lambda",
        "yaml.unsafe_load", "yaml.load", "yaml.UnsafeLoader", "uuid._get_command_stdout", "sympy.sympify", "cffi.FFI",
        "sympy.parsing.sympy_parser.parse_expr", "sklearn.externals.joblib.load", "joblib.load", "pandas.read_pickle",
        "joblib.numpy_pickle.load", "pandas.compat.pickle_compat.loads", "numpy.savetxt", "numba.core.serialize.loads",
    ],
)  # fmt: skip
def test_what_runs_code_is_known(name: str) -> None:
    """A fault even where classes are nothing strange."""
    found = Global(*name.rsplit(".", 1))
    assert runs_code(found)
    assert not is_harmless(found)
    with pytest.raises(Damaged):
        pickles.judge([Scan(globals={found: None})], strict=False)


@pytest.mark.parametrize("name", ["pathlib\nPath.write_text", "zlib\ndecompress", "authors.tools\nsetup"])
def test_a_function_that_is_called_is_told_whatever_its_module(tmp_path: Path, name: str) -> None:
    """No list has every function; named and not called, as an estimator's option is, it is a note."""
    file = tmp_path / "m.pkl"
    module, function = name.split("\n")
    named = b"\x80\x04" + short(module) + short(function) + b"\x93"
    file.write_bytes(named + b"\x8c\x01a\x85R.")
    assert refused(pickles.read, file).reason == "unsafe_pickle"
    file.write_bytes(named + b".")
    if module != "pathlib":
        assert function in pickles.read(file).metadata["note"]


@pytest.mark.parametrize(
    "name",
    ["pandas.core.indexes.base _new_Index", "pandas._libs.internals _unpickle_block", "re _compile",
     "sklearn.neighbors._kd_tree newObj", "numpy.random.bit_generator __pyx_unpickle_SeedSequence",
     "numpy.random._pickle __randomstate_ctor", "numpy._core _ufunc_reconstruct", "numpy._core.multiarray scalar",
     "authors.tools Settings", "datetime datetime", "numpy.ma.core _mareconstruct", "collections deque"],
)  # fmt: skip
def test_a_function_that_rebuilds_objects_is_none_of_these(name: str) -> None:
    """What pandas, numpy and scikit-learn call in every pickle of theirs, and classes."""
    found = Global(*name.split(" "))
    assert pickles.judge([Scan(globals={found: None}, called={found: None})], strict=False)


@pytest.mark.parametrize(
    "name",
    ["torch.FloatStorage", "torch.bfloat16", "torch._utils._rebuild_tensor_v2", "collections.OrderedDict",
     "torch.Size", "torch.nn.parameter.Parameter", "torch.cuda.HalfStorage", "torch.float8_e4m3fn",
     "torch.serialization._get_layout", "torch._tensor._rebuild_from_type_v2"],
)  # fmt: skip
def test_what_weights_need_is_allowed(name: str) -> None:
    """As torch.load(weights_only=True) has it."""
    assert is_needed(Global(*name.rsplit(".", 1)))
    assert pickles.judge([Scan(globals={Global(*name.rsplit(".", 1)): None})], strict=True) is None


def test_protocol_4_reaches_no_module_through_another() -> None:
    """numpy's own import of os is as good as os."""
    data = b"\x80\x04" + short("sklearn.utils") + short("os.system") + b"\x93)R."
    with pytest.raises(Damaged):
        pickles.judge([scanned(data)], strict=False)


@pytest.mark.parametrize("strict", [True, False])
def test_a_payload_before_the_damage_counts(strict: bool) -> None:
    """The unpickler runs what stands before the byte that it stumbles over."""
    with pytest.raises(Damaged) as caught:
        pickles.judge([scanned(b"\x80\x02cposix\nsystem\n)R\xff")], strict=strict)
    assert caught.value.reason == "unsafe_pickle"


def test_a_second_pickle_behind_the_first_is_scanned(tmp_path: Path) -> None:
    """A loader that reads twice would run it."""
    file = tmp_path / "m.pkl"
    file.write_bytes(pickle.dumps([1]) + b"\x80\x02cposix\nsystem\n)R.")
    assert refused(pickles.read, file).reason == "unsafe_pickle"


def test_a_payload_where_joblib_has_an_array_is_found(tmp_path: Path) -> None:
    """joblib skips the bytes of an array; pickle.load executes them."""
    wrapper = (
        b"\x80\x04" + short("joblib.numpy_pickle") + short("NumpyArrayWrapper") + b"\x93)\x81}("
        + short("shape") + b"K\x40\x85" + short("dtype") + short("numpy") + short("dtype") + b"\x93"
        + short("u1") + b"\x89\x88\x87R" + short("numpy_array_alignment_bytes") + b"Nub"
    )  # fmt: skip
    payload = b"cposix\nsystem\n)R."
    file = tmp_path / "m.joblib"
    file.write_bytes(wrapper + payload.ljust(64, b"\0") + b".")
    assert refused(joblib_files.read, file).reason == "unsafe_pickle"
    file.write_bytes(wrapper + bytes(64) + b".")
    assert joblib_files.read(file).format == "joblib"
    file.write_bytes(wrapper + bytes(63))
    assert refused(joblib_files.read, file).reason == "file_corrupted"


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zlib.compress])
def test_a_compressed_pickle_is_looked_into(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """pandas and many scripts write .pkl so: what is in it counts, and its end at the checksum level."""
    file = tmp_path / "m.pkl"
    file.write_bytes(pack(b"\x80\x02cposix\nsystem\n)R."))
    assert verify([file], level="header").files[0].reason == "unsafe_pickle"
    file.write_bytes(pack(pickle.dumps(list(range(1000)))))
    assert verify([file]).ok
    file.write_bytes(file.read_bytes()[:-3])
    assert verify([file]).files[0].reason == "file_corrupted"


def test_a_compressed_bomb_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The header level looks at the first megabytes; the checksum level says what it is."""
    monkeypatch.setattr(compressed, "MOST", 2**26)
    monkeypatch.setattr(compressed, "EXPANSION", 10)
    file = tmp_path / "m.joblib"
    engine = zlib.compressobj(1)
    raw = io.BytesIO(engine.compress(b"\x80\x04B" + struct.pack("<I", 2**31)))
    raw.seek(0, 2)
    for _ in range(150):
        raw.write(engine.compress(bytes(2**20)))
    file.write_bytes(raw.getvalue() + engine.flush())
    with within(seconds=2, mebibytes=16):
        joblib_files.read(file)
    with within(seconds=4, mebibytes=16):
        assert "bomb" in str(refused(lambda path: pickles.deep(path, lambda count: None), file))
