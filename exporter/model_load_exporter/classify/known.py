"""What an exception's type or error number says by itself, whatever its message.

Types stand as qualified names and are looked up along a link's bases, nearest first: a subclass that nobody has heard
of is judged by its parent, and no library needs to be installed here.
"""

import errno

from model_load_exporter.classify.patterns import EXACT, LAST, PLAIN, VAGUE

TYPES: dict[str, tuple[str, int] | None] = {
    # Python
    "builtins.FileNotFoundError": ("file_missing", PLAIN),
    "builtins.NotADirectoryError": ("file_missing", PLAIN),
    "builtins.IsADirectoryError": ("config_invalid", PLAIN),
    "builtins.PermissionError": ("permission_denied", PLAIN),
    "builtins.MemoryError": ("host_memory_error", PLAIN),
    "builtins.ImportError": ("dependency_missing", PLAIN),
    "builtins.EOFError": ("file_corrupted", VAGUE),
    "builtins.UnicodeDecodeError": ("file_corrupted", VAGUE),
    "builtins.BrokenPipeError": None,  # a ConnectionError by descent, but a dead child by habit
    "builtins.ConnectionError": ("network_error", PLAIN),
    "builtins.TimeoutError": ("timeout", VAGUE),  # below the network's types, which are raised from it
    "builtins.SystemExit": ("process_died", LAST),
    "concurrent.futures._base.TimeoutError": ("timeout", VAGUE),
    "asyncio.exceptions.TimeoutError": ("timeout", VAGUE),
    "multiprocessing.context.TimeoutError": ("timeout", VAGUE),
    "subprocess.TimeoutExpired": ("timeout", PLAIN),
    "concurrent.futures.process.BrokenProcessPool": ("process_died", LAST),
    "json.decoder.JSONDecodeError": ("config_invalid", PLAIN),
    "yaml.error.YAMLError": ("config_invalid", PLAIN),
    "_pickle.UnpicklingError": ("file_corrupted", PLAIN),
    "pickle.UnpicklingError": ("file_corrupted", PLAIN),
    "zipfile.BadZipFile": ("file_corrupted", PLAIN),
    "zlib.error": ("file_corrupted", PLAIN),
    "gzip.BadGzipFile": ("file_corrupted", PLAIN),
    "_lzma.LZMAError": ("file_corrupted", PLAIN),
    "tarfile.ReadError": ("file_corrupted", PLAIN),
    "struct.error": ("file_corrupted", VAGUE),
    "socket.gaierror": ("network_error", PLAIN),
    "socket.herror": ("network_error", PLAIN),
    "ssl.SSLError": ("network_error", PLAIN),
    # model libraries
    "safetensors._safetensors_rust.SafetensorError": ("file_corrupted", PLAIN),
    "safetensors_rust.SafetensorError": ("file_corrupted", PLAIN),
    "safetensors.SafetensorError": ("file_corrupted", PLAIN),
    "torch.OutOfMemoryError": ("gpu_out_of_memory", EXACT),
    "torch.cuda.OutOfMemoryError": ("gpu_out_of_memory", EXACT),
    "torch._C.OutOfMemoryError": ("gpu_out_of_memory", EXACT),
    "torch.AcceleratorError": ("gpu_fault", PLAIN),
    "rasa.exceptions.ModelNotFound": ("file_missing", PLAIN),
    "google.protobuf.message.DecodeError": ("file_corrupted", PLAIN),
    "onnxruntime.capi.onnxruntime_pybind11_state.NoSuchFile": ("file_missing", PLAIN),
    "onnxruntime.capi.onnxruntime_pybind11_state.InvalidProtobuf": ("file_corrupted", PLAIN),
    "onnxruntime.capi.onnxruntime_pybind11_state.InvalidGraph": ("config_invalid", PLAIN),
    "onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented": ("version_incompatible", PLAIN),
    "tensorflow.python.framework.errors_impl.DataLossError": ("file_corrupted", PLAIN),
    "tensorflow.python.framework.errors_impl.NotFoundError": ("file_missing", VAGUE),
    "tensorflow.python.framework.errors_impl.PermissionDeniedError": ("permission_denied", PLAIN),
    "tensorflow.python.framework.errors_impl.ResourceExhaustedError": ("gpu_out_of_memory", VAGUE),
    "tensorflow.python.framework.errors_impl.UnavailableError": ("network_error", VAGUE),
    "importlib.metadata.PackageNotFoundError": ("dependency_missing", PLAIN),
    "pkg_resources.VersionConflict": ("version_incompatible", EXACT),
    "pkg_resources.ContextualVersionConflict": ("version_incompatible", EXACT),
    "pkg_resources.DistributionNotFound": ("dependency_missing", PLAIN),
    # the hub
    "huggingface_hub.errors.GatedRepoError": ("auth_denied", EXACT),
    "huggingface_hub.errors.DisabledRepoError": ("auth_denied", EXACT),
    "huggingface_hub.errors.LocalTokenNotFoundError": ("auth_denied", EXACT),
    "huggingface_hub.errors.RepositoryNotFoundError": ("not_found_remote", EXACT),
    "huggingface_hub.errors.RevisionNotFoundError": ("not_found_remote", EXACT),
    "huggingface_hub.errors.RemoteEntryNotFoundError": ("not_found_remote", EXACT),
    "huggingface_hub.errors.LocalEntryNotFoundError": ("file_missing", VAGUE),
    "huggingface_hub.errors.EntryNotFoundError": ("not_found_remote", EXACT),
    "huggingface_hub.errors.OfflineModeIsEnabled": ("file_missing", PLAIN),  # what it wanted to fetch is not here
    "huggingface_hub.errors.HFValidationError": ("config_invalid", VAGUE),
    "huggingface_hub.errors.StrictDataclassError": ("config_invalid", PLAIN),
    "huggingface_hub.errors.FileMetadataError": ("network_error", PLAIN),
    "huggingface_hub.errors.XetDownloadError": ("network_error", VAGUE),
    "huggingface_hub.errors.HfHubHTTPError": ("network_error", VAGUE),
    "pydantic_core._pydantic_core.ValidationError": ("config_invalid", VAGUE),
    "botocore.exceptions.NoCredentialsError": ("auth_denied", EXACT),
    "botocore.exceptions.ClientError": None,  # an HTTP status that its message tells
    "botocore.exceptions.HTTPClientError": ("network_error", PLAIN),
    "botocore.exceptions.ConnectionError": ("network_error", PLAIN),
}
"""Qualified name -> (reason, rank). None: the type says nothing, and its bases are not asked either."""

_HUB_OLD = ("GatedRepoError", "RepositoryNotFoundError", "RevisionNotFoundError", "EntryNotFoundError",
            "LocalEntryNotFoundError", "HfHubHTTPError")  # fmt: skip
for _name in _HUB_OLD:  # where huggingface_hub 0.x kept them
    for _module in ("huggingface_hub.utils._errors", "huggingface_hub.utils._http"):
        TYPES[f"{_module}.{_name}"] = TYPES[f"huggingface_hub.errors.{_name}"]

NAMES = {key.rpartition(".")[2]: found for key, found in TYPES.items() if not key.startswith("builtins.")}
"""The same by their last names alone, as compiled extensions and some loggers print them."""
for _name in ("error", "ClientError", "ConnectionError", "TimeoutError", "ValidationError", "NotFoundError",
              "UnavailableError", "ReadError", "NotImplemented"):  # of too many libraries  # fmt: skip
    NAMES.pop(_name, None)

LOOKUPS = frozenset(
    f"builtins.{name}"
    for name in ("ImportError", "AttributeError", "LookupError", "FileNotFoundError", "StopIteration")
) | {"_queue.Empty"}
"""Types that programs expect: they look, find nothing, and do something else."""

NETWORK_MODULES = frozenset(
    ("requests", "urllib3", "httpx", "httpx2", "httpcore", "httpcore2", "aiohttp", "h11", "http", "urllib", "hf_xet")
)
"""Top modules of HTTP clients: a failure of theirs is one of the network, if no status in its message says better."""

STATUS_TYPES = frozenset(("HTTPStatusError", "HTTPError", "ClientResponseError", "InvalidURL", "InvalidSchema"))
"""Class names among theirs that carry an answer rather than a broken connection."""

ERRNOS: dict[int, tuple[str, int]] = {
    errno.ENOSPC: ("disk_full", EXACT),
    errno.EDQUOT: ("disk_full", EXACT),
    errno.EMFILE: ("resource_limit", EXACT),
    errno.ENFILE: ("resource_limit", EXACT),
    errno.EFBIG: ("resource_limit", EXACT),
    errno.ENOMEM: ("host_memory_error", EXACT),
    errno.EADDRINUSE: ("port_in_use", EXACT),
    errno.ENOENT: ("file_missing", PLAIN),
    errno.ENOTDIR: ("file_missing", PLAIN),
    errno.ELOOP: ("file_missing", PLAIN),
    errno.ESTALE: ("file_missing", VAGUE),
    errno.EISDIR: ("config_invalid", PLAIN),
    errno.ENAMETOOLONG: ("config_invalid", VAGUE),
    errno.EACCES: ("permission_denied", PLAIN),
    errno.EPERM: ("permission_denied", PLAIN),
    errno.EROFS: ("permission_denied", PLAIN),
    errno.EIO: ("file_corrupted", VAGUE),
    errno.EAGAIN: ("resource_limit", VAGUE),
    **dict.fromkeys(
        (errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ECONNREFUSED,
         errno.ECONNRESET, errno.ECONNABORTED, errno.ETIMEDOUT),
        ("network_error", PLAIN),
    ),
}  # fmt: skip
"""OSError.errno -> (reason, rank)."""

CANCELLATIONS = frozenset(
    (
        "builtins.KeyboardInterrupt",
        "builtins.GeneratorExit",
        "asyncio.exceptions.CancelledError",
        "concurrent.futures._base.CancelledError",
        "trio.Cancelled",
    )
)
"""Types that end a load on purpose. By name, since importing asyncio costs a service some 30 ms."""
