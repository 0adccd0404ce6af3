"""What libraries, runtimes and kernels say when a load fails: the one table of wordings.

A pattern is tried on a line as Python prints an exception (`torch.OutOfMemoryError: CUDA out of memory. ...`) and on
a line of a log, so it may name the exception's type. `needle` is found first, in lower case; `regex` then confirms it
where the needle alone would also fit other texts. A new wording is a new row here and its line in
tests/unit/test_classify_patterns.py.
"""

import re
from functools import lru_cache

EXACT = 3
"""Said in this one situation only: decides, at whatever depth it is found."""
PLAIN = 2
"""Says what happened, though a more exact line elsewhere may say why."""
VAGUE = 1
"""The top line of several different failures: believed when nothing else speaks."""
LAST = 0
"""The process's end rather than its cause."""


class Pattern:
    """One wording.

    reason: of the closed set. needle: lower-case text that must occur. regex: confirms it (case-sensitive), or "".
    libraries, versions: who says so, and in which releases ("" where all known ones do). rank: how far it is
    believed. log: only in logs, never in an exception's message. note: why, where the wording does not tell.
    """

    # No dataclass: its generated methods alone would take a third of the import's budget of 3 ms.
    __slots__ = ("libraries", "log", "needle", "note", "rank", "reason", "regex", "versions")

    def __init__(
        self,
        reason: str,
        needle: str,
        regex: str = "",
        libraries: str = "",
        versions: str = "",
        rank: int = EXACT,
        log: bool = False,
        note: str = "",
    ) -> None:
        self.reason = reason
        self.needle = needle
        self.regex = regex
        self.libraries = libraries
        self.versions = versions
        self.rank = rank
        self.log = log
        self.note = note

    def __repr__(self) -> str:
        return f"Pattern({self.reason!r}, {self.needle!r})"


PATTERNS: tuple[Pattern, ...] = (
    # files
    Pattern("shard_missing", "-of-0", r"[Nn]o such file or directory.{0,512}-\d{5}-of-\d{5}\.", "safetensors, torch"),
    Pattern("shard_missing", "does not appear to have files named", "", "transformers", "4.40-"),
    Pattern("shard_missing", "does not appear to have a file named", r"-\d{5}-of-\d{5}\.", "transformers"),
    Pattern("shard_missing", "invalid split file name", "", "llama.cpp"),
    Pattern("shard_missing", "failed to load gguf split", "", "llama.cpp"),
    Pattern("file_missing", "error no file named", "", "transformers"),
    Pattern("file_missing", "cannot find any model weights with", "", "vllm"),
    Pattern("file_missing", "cannot find the requested files in the disk cache", "", "huggingface_hub", "0.14-"),
    Pattern("file_missing", "cannot find an appropriate cached snapshot folder", "", "huggingface_hub"),
    Pattern("file_missing", "savedmodel file does not exist at", "", "tensorflow"),
    Pattern("file_missing", "unable to open file", r"(?i)No such file or directory|errno = 2\b", "h5py, keras"),
    Pattern("file_missing", "file not found: filepath=", "", "keras", "3-"),
    Pattern("file_missing", "file doesn't exist", r"NoSuchFile|NO_SUCHFILE|Load model from", "onnxruntime"),
    Pattern("file_missing", "on fopen: no such file or directory", "", "torch", "2.6-"),
    Pattern("file_missing", "does not appear to have a file named", "", "transformers", rank=PLAIN),
    Pattern("file_missing", "repo id must be in the form", r": '(?:[/~.]|[A-Za-z]:\\)", "huggingface_hub", rank=PLAIN,
            note="a path that is no folder is taken for a repository's name"),
    Pattern("file_missing", "repo id must use alphanumeric chars", r": '(?:[/~.]|[A-Za-z]:\\)", "huggingface_hub",
            rank=PLAIN),
    Pattern("file_missing", "incorrect path_or_model_id", "", "transformers", rank=PLAIN),
    Pattern("file_missing", "is not a local folder and is not a valid model identifier",
            r"(?:^|[\s'\"])(?:[/~.]|[A-Za-z]:\\)\S* is not a local folder", "transformers", rank=PLAIN),
    Pattern("file_missing", "no such file or directory", r"(?i)failed to open|error loading model|can't open|"
            r"cannot open(?! shared)|unable to open", "llama.cpp, C programs", rank=PLAIN),
    Pattern("file_missing", "can't load tokenizer for", "", "transformers", rank=VAGUE),
    Pattern("file_missing", "can't load the configuration of", "", "transformers", rank=VAGUE),
    Pattern("file_missing", "can't load the model for", "", "transformers", rank=VAGUE),
    Pattern("file_empty", "cannot mmap an empty file", "", "Python"),
    Pattern("file_empty", "ran out of input", r"EOFError", "pickle", rank=PLAIN,
            note="a pickle cut between two opcodes says it too, an empty file far more often"),
    Pattern("lfs_pointer", "invalid load key, 'v'", "", "pickle", note="the v of `version https://git-lfs...`"),
    Pattern("lfs_pointer", "unsupported operand 118", r"[Ww]eights.?only", "torch", "2.0-", note="118 is that v"),
    Pattern("lfs_pointer", "version https://git-lfs", "", "git-lfs"),
    Pattern("lfs_pointer", "please run `git lfs install`", "", "transformers", "4.5-"),
    Pattern("lfs_pointer", "seem to be a git-lfs pointer", "", "transformers"),
    Pattern("file_corrupted", "error while deserializing header", "", "safetensors",
            note="HeaderTooLarge, header too large, MetadataIncompleteBuffer, incomplete metadata, and others"),
    Pattern("file_corrupted", "pytorchstreamreader failed", "", "torch", "1.6-"),
    Pattern("file_corrupted", "unsupported operand", r"[Ww]eights.?only", "torch", "2.0-"),
    Pattern("file_corrupted", "invalid load key", "", "pickle"),
    Pattern("file_corrupted", "invalid magic number; corrupt file", "", "torch"),
    Pattern("file_corrupted", "pickle data was truncated", "", "pickle"),
    Pattern("file_corrupted", "unexpected eof", r"(?i)expected \d+ more bytes|might be corrupted", "torch", "-1.x"),
    Pattern("file_corrupted", "does not match expected size", r"record size|storage", "torch"),
    Pattern("file_corrupted", "storage has wrong byte size", "", "torch"),
    Pattern("file_corrupted", "protobuf parsing failed", "", "onnxruntime"),
    Pattern("file_corrupted", "error parsing message", r"(?i)onnx|proto", "protobuf"),
    Pattern("file_corrupted", "could not parse modelproto from", "", "sentencepiece"),
    Pattern("file_corrupted", "parsefromarray", r"sentencepiece|Internal:", "sentencepiece"),
    Pattern("file_corrupted", "file signature not found", "", "h5py"),
    Pattern("file_corrupted", "truncated file: eof", "", "h5py"),
    Pattern("file_corrupted", "model provided has model identifier", "", "tflite"),
    Pattern("file_corrupted", "invalid magic", r"(?i)gguf|ggml|model", "llama.cpp"),
    Pattern("file_corrupted", "bad magic", r"(?i)gguf|ggml|model", "llama.cpp"),
    Pattern("file_corrupted", "data is not within the file bounds", "", "llama.cpp"),
    Pattern("file_corrupted", "failed to read magic", "", "llama.cpp"),
    Pattern("file_corrupted", "consistency check failed: file should be of size", "", "huggingface_hub"),
    Pattern("file_corrupted", "bad crc-32 for file", "", "zipfile, torch"),
    Pattern("permission_denied", "permission denied", r"(?i)error|exception|denied:|failed|cannot|os error 13|errno 13",
            "operating system", rank=PLAIN),
    Pattern("permission_denied", "read-only file system", "", "operating system", rank=PLAIN),
    Pattern("permission_denied", "there was a problem when trying to write in your cache folder", "", "transformers",
            rank=VAGUE),
    Pattern("resource_limit", "unable to write to file </torch_", "", "torch", note="shared memory is full, no disk"),
    Pattern("disk_full", "no space left on device", "", "operating system"),
    Pattern("disk_full", "disk quota exceeded", "", "operating system"),
    Pattern("disk_full", "not enough free disk space", r"Error", "huggingface_hub",
            note="as a UserWarning it is no failure: the estimate is often wrong"),
    Pattern("disk_full", "unexpected pos", r"unexpected pos \d+ vs \d+", "torch", note="torch.save, short write"),
    Pattern("disk_full", "pytorchstreamwriter failed writing file", "", "torch"),
    Pattern("unsafe_pickle", "unsupported global", "", "torch", "2.0-"),
    Pattern("unsafe_pickle", "trying to load unsupported global", "", "torch", "2.13-"),
    Pattern("unsafe_pickle", "unsupported class", r"[Ww]eights.?only", "torch"),
    Pattern("unsafe_pickle", "is not an allowed global", "", "torch"),
    Pattern("unsafe_pickle", "trying to call reduce for unrecognized function", "", "torch"),
    Pattern("unsafe_pickle", "require users to upgrade torch to at least v2.6", "", "transformers", "4.51-",
            note="torch.load of any .bin is refused: CVE-2025-32434"),
    Pattern("unsafe_pickle", "weights only load failed", "", "torch", "2.0-", rank=PLAIN),
    # fit
    Pattern("trust_remote_code_required", "trust_remote_code=true", r"(?i)requires you to execute|contains custom code|"
            r"please pass the argument|set the option", "transformers, vllm"),
    Pattern("trust_remote_code_required", "contains custom code which must be executed", "", "transformers", "4.30-"),
    Pattern("version_incompatible", "but transformers does not recognize this architecture", "", "transformers",
            "4.35-"),
    Pattern("version_incompatible", "is required for a normal functioning of this module", "", "transformers"),
    Pattern("version_incompatible", "but found", r"[<>=~!]=\s?[\w.]+.{0,300}but found", "transformers"),
    Pattern("version_incompatible", "which is incompatible", r"requires .+ but you have", "pip"),
    Pattern("version_incompatible", "pkg_resources.versionconflict", "", "setuptools"),
    Pattern("version_incompatible", "cannot import name", "", "Python"),
    Pattern("version_incompatible", "undefined symbol", "", "dynamic linker"),
    Pattern("version_incompatible", "' not found (required by", r"(?:GLIBC|GLIBCXX|CXXABI|OPENSSL)[\w.]*' not found",
            "dynamic linker"),
    Pattern("version_incompatible", "compiled using numpy 1.x cannot be run in", "", "numpy", "2.0-"),
    Pattern("version_incompatible", "numpy.core.multiarray failed to import", "", "numpy"),
    Pattern("version_incompatible", "numpy.dtype size changed", "", "numpy"),
    Pattern("version_incompatible", "no module named 'numpy._core", "", "numpy", "-1.x",
            note="a pickle written under numpy 2"),
    Pattern("version_incompatible", "can't get attribute '", r"AttributeError", "pickle"),
    Pattern("version_incompatible", "unsupported model ir version", "", "onnxruntime"),
    Pattern("version_incompatible", "opset", r"(?i)under development|is not supported|official support", "onnxruntime"),
    Pattern("version_incompatible", "could not find an implementation for", "", "onnxruntime"),
    Pattern("version_incompatible", "unknown model architecture", "", "llama.cpp"),
    Pattern("version_incompatible", "unknown pre-tokenizer type", "", "llama.cpp"),
    Pattern("version_incompatible", "too old, regenerate your model files", "", "llama.cpp"),
    Pattern("version_incompatible", "unsupported file version", "", "llama.cpp"),
    Pattern("version_incompatible", "unknown (magic, version) combination", "", "llama.cpp"),
    Pattern("version_incompatible", "gguf", r"(?i)GGUFv\d is no longer supported|unsupported GGUF version",
            "llama.cpp"),
    Pattern("version_incompatible", "unknown layer", r"Unknown layer: '?\w+", "keras, tfjs"),
    Pattern("version_incompatible", "didn't find op for builtin opcode", "", "tflite"),
    Pattern("version_incompatible", "attempted to read a pytorch file with version", "", "torch"),
    Pattern("version_incompatible", "are not supported for now", r"Model architectures? \[", "vllm"),
    Pattern("version_incompatible", "please upgrade", r"(?i)error", "", rank=PLAIN),
    Pattern("version_incompatible", "got an unexpected keyword argument", r"TypeError", "Python", rank=VAGUE),
    Pattern("version_incompatible", "has no attribute", r"AttributeError: (?:partially initialized )?module '",
            "Python", rank=PLAIN),
    Pattern("dependency_missing", "no module named", r"(?:Error|Exception)\b.*No module named|^No module named|"
            r": No module named '?[\w.]+'?$", "Python"),
    Pattern("dependency_missing", "error while loading shared libraries", "", "dynamic linker"),
    Pattern("dependency_missing", "cannot open shared object file", r"shared object file(?!\): ignored)",
            "dynamic linker", note="of a missing LD_PRELOAD it only warns"),
    Pattern("dependency_missing", "library not loaded:", "", "dyld"),
    Pattern("dependency_missing", "dll load failed", "", "Windows"),
    Pattern("dependency_missing", "requires the following packages that were not found", "", "transformers"),
    Pattern("dependency_missing", "library but it was not found in your environment", "", "transformers"),
    Pattern("dependency_missing", "pip install", r"(?i)error.*(?:requires?\b|needs?\b|not installed|not found|"
            r"install it|please install|run `?pip install)", "transformers, vllm", rank=PLAIN),
    Pattern("architecture_mismatch", "error(s) in loading state_dict for", "", "torch"),
    Pattern("architecture_mismatch", "size mismatch for", r"copying a param|shape", "torch"),
    Pattern("architecture_mismatch", "key(s) in state_dict", r"(?:Missing|Unexpected) key\(s\)", "torch"),
    Pattern("architecture_mismatch", "ignore_mismatched_sizes", r"(?i)error|thus raising", "transformers"),
    Pattern("architecture_mismatch", "shapes cannot be multiplied", "", "torch"),
    Pattern("architecture_mismatch", "must have the same dtype", "", "torch"),
    Pattern("architecture_mismatch", "expected scalar type", r"but found", "torch"),
    Pattern("architecture_mismatch", "unrecognized configuration class", r"for this kind of (?:Auto|TF|Flax)",
            "transformers"),
    Pattern("architecture_mismatch", "there is no module or parameter named", "", "vllm"),
    Pattern("architecture_mismatch", "file does not contain tensor", "", "safetensors"),
    Pattern("architecture_mismatch", "wrong number of tensors", "", "llama.cpp"),
    Pattern("architecture_mismatch", "missing tensor '", "", "llama.cpp"),
    Pattern("architecture_mismatch", "has wrong shape; expected", "", "llama.cpp"),
    Pattern("architecture_mismatch", "following weights were not initialized from checkpoint", "", "vllm"),
    Pattern("architecture_mismatch", "keyerror: '", r"KeyError: '[\w.]+\.(?:weight|bias|scales?|qweight|qzeros)'",
            "vllm, sglang", rank=PLAIN),
    Pattern("config_invalid", "is greater than the derived max_model_len", "", "vllm"),
    Pattern("config_invalid", "is not a valid json file", r"config", "transformers", rank=PLAIN),
    Pattern("config_invalid", "did not match any variant of untagged enum", "", "tokenizers", rank=PLAIN,
            note="also a tokenizer.json newer than the library: both are told in the same words"),
    Pattern("config_invalid", "is not a multiple of the number of attention heads", "", "transformers"),
    Pattern("config_invalid", "must be divisible by", r"(?i)heads|size|error", "transformers, vllm", rank=PLAIN),
    Pattern("config_invalid", "unknown quantization type", "", "transformers"),
    Pattern("config_invalid", "unknown quantization method", "", "vllm"),
    Pattern("config_invalid", "unknown task", r"KeyError.*available tasks are", "transformers"),
    Pattern("config_invalid", "`rope_scaling` must be", "", "transformers"),
    Pattern("config_invalid", "validation error for field", "", "huggingface_hub", "1.0-"),
    Pattern("config_invalid", "repo id must ", "", "huggingface_hub", rank=VAGUE),
    Pattern("config_invalid", "unrecognized model in", "", "transformers", rank=VAGUE,
            note="told of an unsearchable folder and of a missing config.json as well"),
    # memory
    Pattern("host_memory_error", "defaultcpuallocator", r"can't allocate memory|not enough memory", "torch"),
    Pattern("host_memory_error", "std::bad_alloc", "", "C++"),
    Pattern("host_memory_error", "unable to allocate", r"MemoryError|[KMGTP]iB for an array", "numpy"),
    Pattern("host_memory_error", "cannot allocate memory", "", "operating system"),
    Pattern("host_memory_error", "insufficient memory", r"ggml_|allocate", "llama.cpp"),
    Pattern("host_memory_error", "failed to allocate cpu buffer", "", "llama.cpp"),
    Pattern("host_memory_error", "memory allocation of", r"memory allocation of \d+ bytes failed", "Rust"),
    Pattern("host_memory_error", "java.lang.outofmemoryerror", "", "JVM"),
    Pattern("host_memory_error", "paging file is too small", "", "Windows"),
    Pattern("cgroup_oom_killed", "memory cgroup out of memory", "", "kernel", log=True),
    Pattern("cgroup_oom_killed", "constraint=constraint_memcg", "", "kernel", log=True),
    Pattern("cgroup_oom_killed", "oomkilled", r"Reason:\s+OOMKilled|OOMKilled\b", "kubernetes", log=True),
    Pattern("cgroup_oom_killed", "oom_kill event", "", "slurm", log=True),
    Pattern("host_oom_killed", "out of memory: kill", r"Out of memory: Kill(?:ed)? process \d+", "kernel", log=True),
    Pattern("host_oom_killed", "constraint=constraint_none", "", "kernel", log=True),
    Pattern("host_oom_killed", "systemd-oomd", r"Killed .* due to memory", "systemd", log=True),
    Pattern("resource_limit", "too many open files", "", "operating system"),
    Pattern("resource_limit", "can't start new thread", "", "Python"),
    Pattern("resource_limit", "resource temporarily unavailable", r"(?i)thread|fork|code: 11", "operating system"),
    Pattern("resource_limit", "received 0 items of ancdata", "", "torch", note="file descriptors ran out"),
    # gpu
    Pattern("gpu_out_of_memory", "cuda out of memory", "", "torch"),
    Pattern("gpu_out_of_memory", "hip out of memory", "", "torch"),
    Pattern("gpu_out_of_memory", "mps backend out of memory", "", "torch"),
    Pattern("gpu_out_of_memory", "xpu out of memory", "", "torch"),
    Pattern("gpu_out_of_memory", "cuda error: out of memory", "", "torch, llama.cpp"),
    Pattern("gpu_out_of_memory", "cuda_error_out_of_memory", "", "CUDA"),
    Pattern("gpu_out_of_memory", "cudaerrormemoryallocation", "", "CUDA"),
    Pattern("gpu_out_of_memory", "cudamalloc failed: out of memory", "", "llama.cpp"),
    Pattern("gpu_out_of_memory", "cublas_status_alloc_failed", "", "CUDA"),
    Pattern("gpu_out_of_memory", "failed to allocate", r"(?:CUDA|Metal|Vulkan|ROCm|HIP|SYCL)\w* buffer|"
            r"Failed to allocate memory for requested buffer", "llama.cpp, onnxruntime"),
    Pattern("gpu_out_of_memory", "erroroutofdevicememory", "", "Vulkan"),
    Pattern("gpu_out_of_memory", "resource_exhausted: out of memory", "", "jax"),
    Pattern("gpu_out_of_memory", "oom when allocating tensor", "", "tensorflow"),
    Pattern("gpu_out_of_memory", "tokens that can be stored in kv cache", "", "vllm"),
    Pattern("gpu_out_of_memory", "no available memory for the cache blocks", "", "vllm"),
    Pattern("gpu_out_of_memory", "is less than desired gpu memory utilization", "", "vllm"),
    Pattern("gpu_out_of_memory", "kv cache is needed, which is larger than the available", "", "vllm"),
    Pattern("gpu_out_of_memory", "not enough memory. please try to increase --mem-fraction-static", "", "sglang"),
    Pattern("gpu_out_of_memory", "some modules are dispatched on the cpu or the disk", "", "transformers"),
    Pattern("gpu_unavailable", "torch not compiled with cuda enabled", "", "torch"),
    Pattern("gpu_unavailable", "no cuda gpus are available", "", "torch"),
    Pattern("gpu_unavailable", "found no nvidia driver on your system", r"Error|Exception", "torch"),
    Pattern("gpu_unavailable", "torch.cuda.is_available() is false", "", "torch"),
    Pattern("gpu_unavailable", "driver version is insufficient", "", "CUDA"),
    Pattern("gpu_unavailable", "nvidia driver on your system is too old", r"Error|Exception", "torch"),
    Pattern("gpu_unavailable", "no cuda-capable device is detected", r"(?:Error|Exception): ", "CUDA",
            note="told by tensorflow and llama.cpp before they go on without a GPU"),
    Pattern("gpu_unavailable", "no kernel image is available for execution", "", "CUDA",
            note="the build has no code for this GPU"),
    Pattern("gpu_unavailable", "invalid device ordinal", "", "CUDA"),
    Pattern("gpu_unavailable", "could not select device driver", "", "docker"),
    Pattern("gpu_unavailable", "nvidia-container-cli: initialization error", "", "nvidia-container-toolkit"),
    Pattern("gpu_unavailable", "nvml_error_driver_not_loaded", "", "NVML"),
    Pattern("gpu_unavailable", "driver/library version mismatch", "", "NVML"),
    Pattern("gpu_unavailable", "no accelerator", r"(?i)error.*no accelerator", "vllm, sglang", rank=PLAIN),
    Pattern("gpu_unavailable", "failed to infer device type", "", "vllm"),
    Pattern("gpu_fault", "cuda error:", "", "torch, llama.cpp", rank=PLAIN),
    Pattern("gpu_fault", "device-side assert triggered", "", "CUDA"),
    Pattern("gpu_fault", "an illegal memory access was encountered", "", "CUDA"),
    Pattern("gpu_fault", "misaligned address", "", "CUDA"),
    Pattern("gpu_fault", "unspecified launch failure", "", "CUDA"),
    Pattern("gpu_fault", "uncorrectable ecc error", "", "CUDA"),
    Pattern("gpu_fault", "hip error:", "", "torch", rank=PLAIN),
    Pattern("gpu_fault", "memory access fault by gpu", "", "ROCm"),
    Pattern("gpu_fault", "nvrm: xid", "", "NVIDIA driver", log=True),
    Pattern("gpu_fault", "gpu has fallen off the bus", "", "NVIDIA driver"),
    Pattern("gpu_fault", "amdgpu", r"in page starting at address|GPU reset begin|ring \w+ timeout", "amdgpu", log=True),
    # hub
    Pattern("auth_denied", "trying to access a gated repo", "", "transformers"),
    Pattern("auth_denied", "cannot access gated repo", "", "huggingface_hub"),
    Pattern("auth_denied", "gatedrepoerror", "", "huggingface_hub"),
    Pattern("auth_denied", "you must have access to it and be authenticated", "", "huggingface_hub"),
    Pattern("auth_denied", "invalid user token", "", "huggingface_hub"),
    Pattern("auth_denied", "invalid credentials in authorization header", "", "huggingface_hub"),
    Pattern("auth_denied", "unable to locate credentials", "", "botocore"),
    Pattern("auth_denied", "(accessdenied)", "", "botocore"),
    Pattern("auth_denied", "401", r"(?i)\b401 (?:client error|unauthorized)|status(?: code)?:? 401\b", "HTTP",
            rank=PLAIN, note="the hub answers 401 for a repository that does not exist too: its own type says which"),
    Pattern("auth_denied", "403", r"(?i)\b403 (?:client error|forbidden)|status(?: code)?:? 403\b", "HTTP", rank=PLAIN),
    Pattern("not_found_remote", "repository not found for url", "", "huggingface_hub"),
    Pattern("not_found_remote", "entry not found for url", "", "huggingface_hub"),
    Pattern("not_found_remote", "revision not found for url", "", "huggingface_hub"),
    Pattern("not_found_remote", "is not a valid git identifier", "", "transformers"),
    Pattern("not_found_remote", "pull model manifest: file does not exist", "", "ollama"),
    Pattern("not_found_remote", "404", r"(?i)\b404 (?:client error|not found)|status(?: code)?:? 404\b", "HTTP",
            rank=PLAIN),
    Pattern("not_found_remote", "is not a local folder and is not a valid model identifier", "", "transformers",
            rank=VAGUE),
    Pattern("network_error", "429", r"(?i)\b429 (?:client error|too many requests)", "HTTP", rank=PLAIN),
    Pattern("network_error", "server error", r"(?i)\b5\d\d server error|server error '5\d\d", "HTTP", rank=PLAIN),
    Pattern("network_error", "max retries exceeded", "", "urllib3, ollama", rank=PLAIN),
    Pattern("network_error", "name or service not known", "", "glibc", rank=PLAIN),
    Pattern("network_error", "temporary failure in name resolution", "", "glibc", rank=PLAIN),
    Pattern("network_error", "nodename nor servname provided", "", "macOS", rank=PLAIN),
    Pattern("network_error", "connection refused", r"(?i)error|\[errno (?:111|61)\]", "operating system", rank=PLAIN),
    Pattern("network_error", "connection reset by peer", "", "operating system", rank=PLAIN),
    Pattern("network_error", "network is unreachable", "", "operating system", rank=PLAIN),
    Pattern("network_error", "operation timed out", r"The (?:read|write|handshake) operation timed out", "Python ssl",
            rank=PLAIN),
    Pattern("network_error", "timed out", r"TimeoutError: timed out$|Connection timed out|[Rr]ead timed out",
            "Python socket", rank=PLAIN),
    Pattern("network_error", "certificate verify failed", "", "OpenSSL", rank=PLAIN),
    Pattern("network_error", "peer closed connection without sending complete message body", "", "h11", rank=PLAIN),
    Pattern("network_error", "we couldn't connect to", "", "transformers", rank=VAGUE),
    Pattern("network_error", "an error happened while trying to locate the file", "", "huggingface_hub", rank=VAGUE),
    # process
    Pattern("port_in_use", "address already in use", "", "operating system"),
    Pattern("port_in_use", "eaddrinuse", "", "operating system"),
    Pattern("port_in_use", "is already in use", r"(?i)port \d+ is already in use|connection in use", "servers"),
    Pattern("timeout", "watchdog caught collective operation timeout", "", "torch (NCCL)"),
    Pattern("timeout", "worker timeout", r"WORKER TIMEOUT", "gunicorn", log=True),
    Pattern("timeout", "in handle_abort", r"gunicorn|handle_abort$", "gunicorn", log=True,
            note="the arbiter's SIGABRT after its timeout; the SIGKILL line that follows guesses at memory"),
    Pattern("timeout", "watchdog timeout", "", "sglang"),
    Pattern("timeout", "timed out waiting for", r"(?i)error|exception", "", rank=PLAIN),
    Pattern("segfault", "fatal python error: segmentation fault", "", "faulthandler", log=True),
    Pattern("segfault", "segfault at", r"segfault at [0-9a-f]+ ip", "kernel", log=True),
    Pattern("segfault", "caught signal 11", "", "UCX", log=True),
    Pattern("segfault", "segmentation fault", "", "shell", log=True, rank=PLAIN),
    Pattern("bus_error", "fatal python error: bus error", "", "faulthandler", log=True),
    Pattern("bus_error", "unexpected bus error encountered in worker", "", "torch", rank=PLAIN),
    Pattern("bus_error", "bus error", r"(?:^|\s)Bus error(?:\s|$)", "shell", log=True, rank=PLAIN),
    Pattern("illegal_instruction", "trap invalid opcode", "", "kernel", log=True),
    Pattern("illegal_instruction", "fatal python error: illegal instruction", "", "faulthandler", log=True),
    Pattern("illegal_instruction", "illegal instruction", "", "shell", log=True, rank=PLAIN),
    Pattern("aborted", "fatal python error: aborted", "", "faulthandler", log=True, rank=VAGUE),
    Pattern("aborted", "terminate called", r"terminate called (?:after throwing|without an active)", "C++", log=True,
            rank=VAGUE),
    Pattern("aborted", "ggml_assert", r"GGML_ASSERT", "llama.cpp", log=True, rank=VAGUE),
    Pattern("aborted", "aborted", r"(?:^|\s)Aborted(?: \(core dumped\))?\s*$", "shell", log=True, rank=VAGUE),
    Pattern("unknown", "error loading model", "", "llama.cpp", log=True, rank=LAST),
    Pattern("unknown", "failed to load model", "", "servers", log=True, rank=LAST),
    Pattern("unknown", "unable to load model", "", "servers", log=True, rank=LAST),
    Pattern("killed", "killed", r"(?:^|\s)\d*\s*Killed\b(?!:)(?:\s*$|\s{2,}\S)", "shell", log=True, rank=LAST),
)  # fmt: skip
"""In the order of the tree of reasons; among equal ranks the first row that fits a text decides."""


def search(text: str, log: bool = False) -> tuple[Pattern, int] | None:
    """The pattern of the highest rank that fits the text and where its needle stands. `log` admits those of logs."""
    lower = text.lower()
    best: tuple[Pattern, int] | None = None
    for pattern in PATTERNS:
        if (pattern.log and not log) or (best is not None and pattern.rank <= best[0].rank):
            continue
        start = fits(pattern, text, lower)
        if start is not None:
            best = (pattern, start)
            if pattern.rank == EXACT:
                break
    return best


def fits(pattern: Pattern, text: str, lower: str) -> int | None:
    """Where the pattern stands in the text (`lower` is the text in lower case), or None."""
    start = lower.find(pattern.needle)
    if start < 0:
        return None
    return start if not pattern.regex or compiled(pattern.regex).search(text) else None


@lru_cache(maxsize=1024)
def compiled(regex: str) -> re.Pattern[str]:
    """The expression, compiled at its first use: an import that compiled them all would slow every service's start."""
    return re.compile(regex)
