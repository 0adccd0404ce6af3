"""What a pickle's globals mean: which weights need, which are harmless, and which run code.

A global is a name that unpickling imports and may call. Four classes, strictest first:

    needed     what torch.load(weights_only=True) allows: state dicts consist of these alone
    harmless   numpy's arrays, containers, layers of the frameworks: no code of the file's author, but weights_only
               refuses them until somebody lists them as safe; a note, no fault
    unknown    anything else: in a checkpoint a fault (the default load refuses it, and it may be the author's own
               code), in a pickle of an estimator or of a training's state a note
    dangerous  runs commands or code, opens files or connections: a fault wherever it stands

The dangerous list is what picklescan and fickling know, by whole modules where one function is enough. No list is
complete: what is unknown and is called as a function is judged in pickle_calls.py.
"""

import re
from typing import NamedTuple


class Global(NamedTuple):
    """A name that a pickle imports."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


ITEM_BYTES = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "int16": 2, "int8": 1,
    "uint8": 1, "bool": 1, "complex64": 8, "complex128": 16, "qint8": 1, "quint8": 1, "qint32": 4, "quint4x2": 1,
    "quint2x4": 1,
}  # fmt: skip

STORAGE_DTYPES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool", "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128", "QInt8Storage": "qint8", "QUInt8Storage": "quint8", "QInt32Storage": "qint32",
    "QUInt4x2Storage": "quint4x2", "QUInt2x4Storage": "quint2x4", "UntypedStorage": "uint8",
}  # fmt: skip

_KINDS = "Double|Float|Half|BFloat16|Long|Int|Short|Char|Byte|Bool|ComplexFloat|ComplexDouble|QInt8|QUInt8|QInt32"
_NEEDED = re.compile(
    rf"""torch\.(cuda\.|sparse\.|cuda\.sparse\.)?({_KINDS}|QUInt4x2|QUInt2x4)(Storage|Tensor)
    |torch\.(storage\.)?(UntypedStorage|TypedStorage)|torch\.(cuda\.)?UntypedStorage
    |torch\.(Size|Tensor|device|nn\.parameter\.Parameter|serialization\._get_layout)
    |torch\.(bfloat16|bool|complex(32|64|128)|u?int\d{{1,2}}|qint(8|32)|quint(8|4x2|2x4)|bits(8|16|1x8|2x4|4x2))
    |torch\.(float(16|32|64|4_e2m1fn_x2|8_e4m3fn(uz)?|8_e5m2(fnuz)?|8_e8m0fnu)|per_(channel|tensor)_\w+)
    |torch\._utils\._rebuild_(parameter|parameter_with_state|tensor|tensor_v2|tensor_v3|qtensor|sparse_tensor
        |meta_tensor_no_storage|nested_tensor|wrapper_subclass|device_tensor_from_numpy|device_tensor_from_cpu_tensor)
    |torch\._tensor\._rebuild_from_type_v2
    |collections\.(OrderedDict|Counter)|(builtins|__builtin__)\.(set|bytearray|complex)|_codecs\.encode""",
    re.VERBOSE,
)
_HARMLESS = re.compile(
    r"""numpy\.(_?core\.(multiarray|numeric)\.(_reconstruct|scalar|_frombuffer)|ndarray|dtype|(bool|u?int|float)\w*
        |dtypes\.\w+|random\._pickle\.\w+|ma\.core\.\w+)
    |(builtins|__builtin__)\.(frozenset|dict|list|tuple|int|long|float|str|unicode|bool|bytes|slice|range|xrange|object)
    |collections\.(defaultdict|deque)|copyreg\._reconstructor|copy_reg\._reconstructor
    |datetime\.\w+|decimal\.Decimal|fractions\.Fraction|uuid\.UUID|pathlib\.\w*Path|argparse\.Namespace
    |types\.SimpleNamespace|torch\.(torch_version\.TorchVersion|Generator)
    |torch\.(nn\.(modules|parameter|quantized)|optim|ao\.nn)\.[\w.]*\.?[A-Z]\w*
    |torchvision\.(models|ops)\.[\w.]+\.[A-Z]\w*|timm\.(models|layers)\.[\w.]+\.[A-Z]\w*
    |sklearn\.(?!externals)[\w.]+\.[A-Z]\w*|scipy\.sparse\.[\w.]+\.[a-z]+_(matrix|array)""",
    re.VERBOSE,
)
_RUNS_CODE = re.compile(
    r"""(os|nt|posix|subprocess|sys|socket|ssl|shutil|runpy|pty|pip|pydoc|code|codeop|bdb|pdb|timeit|trace|profile
        |cProfile|doctest|commands|ctypes|_ctypes|importlib|imp|pkgutil|zipimport|site|venv|ensurepip|marshal|pickle
        |_pickle|cPickle|dill|cloudpickle|shelve|dbm|sqlite3|inspect|gc|signal|multiprocessing|_posixsubprocess|asyncio
        |concurrent|threading|_thread|webbrowser|antigravity|urllib|urllib2|http|httplib|ftplib|telnetlib|smtplib
        |imaplib|poplib|xmlrpc|socketserver|requests|aiohttp|httpx|tempfile|fileinput|glob|linecache|tarfile|zipfile
        |distutils|setuptools|lib2to3|idlelib|unittest|test|tkinter|readline|rlcompleter|logging|sched|atexit|builtin
        |__main__builtins|jinja2|nose|pytest|_pytest|IPython|ptpython|pexpect|paramiko|fabric|plumbum|sh)(\..*)?
    |(builtins|__builtin__|__builtins__)\.(eval|exec|execfile|compile|open|file|input|raw_input|apply|getattr|setattr
        |delattr|hasattr|globals|locals|vars|dir|breakpoint|__import__|reload|memoryview|type|super|map|filter|classmethod
        |staticmethod|property|__build_class__|__dict__.*)
    |operator\.(attrgetter|itemgetter|methodcaller|call)|_operator\.(attrgetter|itemgetter|methodcaller|call)
    |functools\.(partial|reduce|partialmethod)|_functools\.(partial|reduce)|itertools\..*|types\.\w+Type|codecs\.open|io\..*|_io\..*
    |torch\.(load|hub|jit|package|utils|multiprocessing|distributed|_dynamo|_inductor|fx|serialization|testing|export)
        (\.(?!_get_layout).*)?
    |torch\.storage\._load_from_bytes|torch\.(ops|classes|_ops|_classes|compile|save|from_file|library)(\..*)?
    |torch\._C\.(_load_\w+|_jit_\w+|_import_\w+|import_ir\w*|PyTorchFile\w+)
    |numpy\.(load\w*|fromfile|fromregex|genfromtxt|f2py|testing|distutils|lib|ctypeslib|memmap|save\w*|DataSource)(\..*)?
    |joblib\.(load|dump|memory|parallel|externals|numpy_pickle(_utils|_compat)?\.[a-z_]).*|sklearn\.(externals|datasets)\..*
    |pandas\.(eval|io|read_\w+|core\.computation|compat\.pickle_compat|HDFStore)(\..*)?
    |(tensorflow|tf_keras|keras|tensorflow_hub)\.(.*\.)?(load\w*|io|gfile|lib\.io|py_function|numpy_function|py_func)(\..*)?
    |(tensorflow|tf_keras|keras)\.(.*\.)?(Lambda|deserialize\w*|\w*_from_(json|yaml|config)|read_file|write_file|run_\w+)
    |(yaml|_yaml|jsonpickle|klepto|hickle|cffi|_cffi_backend|numexpr|asteval|pyximport|mako|llvmlite|psutil|fsspec)(\..*)?
    |ruamel\.yaml\.(YAML|.*load.*)|srsly\.(.*\.)?(pickle|cloudpickle).*|numba\.core\.serialize\..*
    |sympy\.(.*\.)?(sympify|_sympify|parse_expr|S|lambdify|preview|autowrap|ufuncify|eval_expr|stringify_expr)
    |(posixpath|ntpath|nturl2path|bz2|gzip|lzma|mmap|fcntl|resource|cgitb|wsgiref|getpass)(\..*)?|(uuid|platform)\._?[a-z]\w*
    |pathlib\.\w*Path\..*
    |transformers\.(dynamic_module_utils|utils\.import_utils)\..*|.*\.__(globals|builtins|subclasses|class|mro|bases)__.*""",
    re.VERBOSE,
)  # fmt: skip


def is_needed(name: Global) -> bool:
    """True for what torch.load(weights_only=True) allows."""
    return _NEEDED.fullmatch(str(name)) is not None


def is_harmless(name: Global) -> bool:
    """True for containers, arrays and layers that bring no code of the file's author."""
    return is_needed(name) or (_HARMLESS.fullmatch(str(name)) is not None and not runs_code(name))


def runs_code(name: Global) -> bool:
    """True for what runs commands or code, or opens files or connections."""
    return not is_needed(name) and _RUNS_CODE.fullmatch(str(name)) is not None
