"""Each wording of the table, said as its library says it, and lines that frighten without being a failure."""

import re
import time

import pytest

from model_load_exporter.classify import patterns
from model_load_exporter.classify.text import classify_text
from model_load_exporter.reasons import REASONS

SAID = """
shard_missing | FileNotFoundError: No such file or directory: "/models/a/model-00002-of-00004.safetensors"
shard_missing | OSError: org/m does not appear to have files named ('model-00001-of-00002.safetensors',). Checkout the hub
shard_missing | OSError: org/m does not appear to have a file named model-00003-of-00007.safetensors. Checkout the hub
shard_missing | llama_model_load: error loading model: invalid split file name: /models/m.gguf
shard_missing | llama_model_load: error loading model: failed to load GGUF split from /models/m-00002-of-00003.gguf
file_missing | OSError: Error no file named pytorch_model.bin, model.safetensors, tf_model.h5 found in directory /models/a.
file_missing | RuntimeError: Cannot find any model weights with `/models/a`
file_missing | LocalEntryNotFoundError: Cannot find the requested files in the disk cache and outgoing traffic is disabled
file_missing | LocalEntryNotFoundError: Cannot find an appropriate cached snapshot folder for the specified revision
file_missing | OSError: SavedModel file does not exist at: /models/a/{saved_model.pbtxt|saved_model.pb}
file_missing | OSError: Unable to open file (unable to open file: name = 'm.h5', errno = 2, error message = '...')
file_missing | ValueError: File not found: filepath=m.keras. Please ensure the file is an accessible `.keras` zip file.
file_missing | onnxruntime.capi.onnxruntime_pybind11_state.NoSuchFile: Load model from m.onnx failed. File doesn't exist
file_missing | RuntimeError: open file failed because of errno 2 on fopen: No such file or directory, file path: m.pt
file_missing | OSError: /models/a does not appear to have a file named config.json. Checkout the hub for available files.
file_missing | HFValidationError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/models/a/b'. Use x.
file_missing | HFValidationError: Repo id must use alphanumeric chars or '-', '_', '.', max length is 96: '/models/a b'.
file_missing | OSError: Incorrect path_or_model_id: 'models/a/b'. Please provide either the path to a local folder
file_missing | OSError: /models/a is not a local folder and is not a valid model identifier listed on 'the hub'
file_missing | llama_model_load: error loading model: failed to open m.gguf: No such file or directory
file_missing | OSError: Can't load tokenizer for 'models/a'. If you were trying to load it from the hub, make sure
file_missing | OSError: Can't load the configuration of 'models/a'. If you were trying to load it from the hub
file_missing | OSError: Can't load the model for 'models/a'. If you were trying to load it from the hub
file_empty | ValueError: cannot mmap an empty file
file_empty | EOFError: Ran out of input
lfs_pointer | _pickle.UnpicklingError: invalid load key, 'v'.
lfs_pointer | _pickle.UnpicklingError: Weights only load failed. WeightsUnpickler error: Unsupported operand 118
lfs_pointer | ValueError: bad vocabulary line: version https://git-lfs.github.com/spec/v1
lfs_pointer | OSError: You seem to have cloned a repository without having git-lfs. Please run `git lfs install` and pull.
lfs_pointer | OSError: the files seem to be a git-lfs pointer
file_corrupted | safetensors_rust.SafetensorError: Error while deserializing header: MetadataIncompleteBuffer
file_corrupted | RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory
file_corrupted | _pickle.UnpicklingError: Weights only load failed. WeightsUnpickler error: Unsupported operand 60
file_corrupted | _pickle.UnpicklingError: invalid load key, '\\x0a'.
file_corrupted | RuntimeError: Invalid magic number; corrupt file?
file_corrupted | _pickle.UnpicklingError: pickle data was truncated
file_corrupted | RuntimeError: unexpected EOF, expected 3409 more bytes. The file might be corrupted.
file_corrupted | RuntimeError: record size (100 bytes) does not match expected size (16384 bytes) for dtype Byte
file_corrupted | RuntimeError: storage has wrong byte size: expected 400 got 16
file_corrupted | InvalidProtobuf: [ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model failed:Protobuf parsing failed.
file_corrupted | google.protobuf.message.DecodeError: Error parsing message with type 'onnx.ModelProto'
file_corrupted | RuntimeError: Internal: could not parse ModelProto from /models/a/spiece.model
file_corrupted | RuntimeError: Internal: src/sentencepiece_processor.cc(1101) [model_proto->ParseFromArray(...)]
file_corrupted | OSError: Unable to synchronously open file (file signature not found)
file_corrupted | OSError: Unable to open file (truncated file: eof = 2048, sblock->base_addr = 0, stored_eof = 90000)
file_corrupted | ValueError: Model provided has model identifier 'vers', should be 'TFL3'
file_corrupted | gguf_init_from_file: invalid magic characters 'vers'
file_corrupted | llama_model_load: invalid model file 'm.bin' (bad magic)
file_corrupted | llama_model_load: error loading model: tensor 'blk.0.w' data is not within the file bounds, corrupted
file_corrupted | gguf_init_from_file_impl: failed to read magic
file_corrupted | OSError: Consistency check failed: file should be of size 400 but has size 300 (model.safetensors).
file_corrupted | zipfile.BadZipFile: Bad CRC-32 for file 'archive/data/0'
permission_denied | std::runtime_error: failed to read m.gguf: Permission denied
permission_denied | OSError: [Errno 30] Read-only file system: '/models/.locks'
permission_denied | There was a problem when trying to write in your cache folder (/root/.cache). You should set HF_HOME.
resource_limit | RuntimeError: unable to write to file </torch_81_2217>: No space left on device (28)
disk_full | OSError: [Errno 28] No space left on device
disk_full | OSError: [Errno 122] Disk quota exceeded
disk_full | OSError: Not enough free disk space to download the file. The expected file size is: 900 MB.
disk_full | RuntimeError: [enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598
disk_full | RuntimeError: PytorchStreamWriter failed writing file data/0: file write failed
unsafe_pickle | _pickle.UnpicklingError: Weights only load failed. Unsupported global: GLOBAL numpy.core.multiarray.scalar
unsafe_pickle | _pickle.UnpicklingError: Trying to load unsupported GLOBAL posix.system whose module posix is blocked.
unsafe_pickle | _pickle.UnpicklingError: Weights only load failed. Unsupported class mod.Thing
unsafe_pickle | _pickle.UnpicklingError: GLOBAL mod.Thing is not an allowed GLOBAL by default
unsafe_pickle | _pickle.UnpicklingError: Trying to call reduce for unrecognized function <built-in function eval>
unsafe_pickle | ValueError: Due to a serious vulnerability issue, we require users to upgrade torch to at least v2.6
unsafe_pickle | _pickle.UnpicklingError: Weights only load failed. Re-running `torch.load` with weights_only=False
trust_remote_code_required | ValueError: Loading org/m requires you to execute the file; set `trust_remote_code=True`
trust_remote_code_required | ValueError: org/m contains custom code which must be executed to correctly load the model.
version_incompatible | ValueError: model type `m9` but Transformers does not recognize this architecture.
version_incompatible | ImportError: tokenizers is required for a normal functioning of this module, found tokenizers==0.9
version_incompatible | ImportError: numpy>=1.26,<2 is required here, but found numpy==2.1.0.
version_incompatible | foo 1.0 requires numpy<2, but you have numpy 2.1.0 which is incompatible.
version_incompatible | pkg_resources.VersionConflict: (tokenizers 0.9 (/venv), Requirement.parse('tokenizers>=0.14'))
version_incompatible | ImportError: cannot import name 'Cache' from 'transformers' (/venv/transformers/__init__.py)
version_incompatible | ImportError: /venv/flash_attn_2_cuda.so: undefined symbol: _ZN3c105ErrorC2ENS_14SourceLocationE
version_incompatible | ImportError: /lib/libc.so.6: version `GLIBC_2.34' not found (required by /venv/lib/x.so)
version_incompatible | A module that was compiled using NumPy 1.x cannot be run in NumPy 2.1.0 as it may crash.
version_incompatible | ImportError: numpy.core.multiarray failed to import
version_incompatible | ValueError: numpy.dtype size changed, may indicate binary incompatibility. Expected 96 from C header
version_incompatible | ModuleNotFoundError: No module named 'numpy._core'
version_incompatible | AttributeError: Can't get attribute 'Net' on <module '__main__' from 'serve.py'>
version_incompatible | Fail: Unsupported model IR version: 11, max supported IR version: 10
version_incompatible | Fail: ONNX Runtime only guarantees support for models stamped with official released opset; opset 23 is under development
version_incompatible | NotImplemented: NOT_IMPLEMENTED : Could not find an implementation for Trilu(14) node with name 'x'
version_incompatible | llama_model_load: error loading model: error loading architecture: unknown model architecture: 'm9'
version_incompatible | llama_model_load: error loading model vocabulary: unknown pre-tokenizer type: 'new-bpe'
version_incompatible | llama_model_load: invalid model file (too old, regenerate your model files or convert them)
version_incompatible | llama_model_load: unsupported file version 4
version_incompatible | error loading model: unknown (magic, version) combination: 67676a74, 00000003; is this really a GGML file?
version_incompatible | gguf_init_from_file: GGUFv1 is no longer supported. please use a more up-to-date version
version_incompatible | ValueError: Unknown layer: 'TFOpLambda'. Please ensure you are using a `keras.utils.custom_object_scope`
version_incompatible | ValueError: Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'.
version_incompatible | RuntimeError: Attempted to read a PyTorch file with version 10, but the maximum supported version is 9
version_incompatible | ValueError: Model architectures ['NewForCausalLM'] are not supported for now. Supported: ...
version_incompatible | RuntimeError: this checkpoint needs a newer runtime, please upgrade
version_incompatible | TypeError: NewConfig.__init__() got an unexpected keyword argument 'rope_theta'
version_incompatible | AttributeError: module 'torch' has no attribute 'float8_e4m3fn'
dependency_missing | ModuleNotFoundError: No module named 'sentencepiece'
dependency_missing | ./server: error while loading shared libraries: libgomp.so.1: cannot open: No such file or directory
dependency_missing | OSError: libcudart.so.12: cannot open shared object file: No such file or directory
dependency_missing | ImportError: dlopen(x.so, 2): Library not loaded: /usr/local/lib/libomp.dylib
dependency_missing | ImportError: DLL load failed while importing onnxruntime_pybind11_state
dependency_missing | ImportError: This modeling file requires the following packages that were not found: flash_attn
dependency_missing | ImportError: T5Converter requires the protobuf library but it was not found in your environment.
dependency_missing | ValueError: `tiktoken` is required to read a `tiktoken` file. Install it with `pip install tiktoken`.
architecture_mismatch | RuntimeError: Error(s) in loading state_dict for Linear:
architecture_mismatch | size mismatch for fc.weight: copying a param with shape torch.Size([8]) from checkpoint
architecture_mismatch | Missing key(s) in state_dict: "weight", "bias".
architecture_mismatch | RuntimeError: You set `ignore_mismatched_sizes` to `False`, thus raising an error.
architecture_mismatch | RuntimeError: mat1 and mat2 shapes cannot be multiplied (1x5 and 4x4)
architecture_mismatch | RuntimeError: mat1 and mat2 must have the same dtype, but got Float and BFloat16
architecture_mismatch | RuntimeError: expected scalar type Half but found Float
architecture_mismatch | ValueError: Unrecognized configuration class <class 'BertConfig'> for this kind of AutoModel: X
architecture_mismatch | ValueError: There is no module or parameter named 'vision.proj' in LlamaForCausalLM
architecture_mismatch | safetensors_rust.SafetensorError: File does not contain tensor lm_head.weight
architecture_mismatch | llama_model_load: error loading model: done_getting_tensors: wrong number of tensors; expected 292, got 291
architecture_mismatch | llama_model_load: error loading model: missing tensor 'output.weight'
architecture_mismatch | error loading model: check_tensor_dims: tensor 'token_embd.weight' has wrong shape; expected 4096, 32001
architecture_mismatch | ValueError: Following weights were not initialized from checkpoint: {'lm_head.weight'}
architecture_mismatch | KeyError: 'model.layers.0.mlp.gate_proj.qweight'
config_invalid | ValueError: User-specified max_model_len (9000) is greater than the derived max_model_len (4096)
config_invalid | OSError: It looks like the config file at '/models/a/config.json' is not a valid JSON file.
config_invalid | Exception: data did not match any variant of untagged enum ModelWrapper at line 757479 column 3
config_invalid | ValueError: The hidden size (16) is not a multiple of the number of attention heads (3)
config_invalid | ValueError: Total number of attention heads (7) must be divisible by tensor parallel size (2).
config_invalid | ValueError: Unknown quantization type, got foo - supported types are: ['awq']
config_invalid | ValueError: Unknown quantization method: foo. Must be one of ['awq'].
config_invalid | KeyError: "Unknown task translate, available tasks are ['translation']"
config_invalid | ValueError: `rope_scaling` must be a dictionary with two fields, got {'rope_type': 'x', 'factor': 8}
config_invalid | StrictDataclassFieldValidationError: Validation error for field 'hidden_size': expected int, got str
config_invalid | HFValidationError: Repo id must be a string, not <class 'NoneType'>: 'None'.
config_invalid | ValueError: Unrecognized model in /models/a. Should have a `model_type` key in its config.json.
host_memory_error | RuntimeError: [enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory
host_memory_error | terminate called after throwing an instance of 'std::bad_alloc'
host_memory_error | numpy.core._exceptions._ArrayMemoryError: Unable to allocate 8.00 GiB for an array with shape (9,)
host_memory_error | OSError: [Errno 12] Cannot allocate memory
host_memory_error | ggml_aligned_malloc: insufficient memory (attempted to allocate 9000.00 MB)
host_memory_error | ggml_gallocr_reserve_n: failed to allocate CPU buffer of size 9000
host_memory_error | memory allocation of 17179869184 bytes failed
host_memory_error | Exception in thread "main" java.lang.OutOfMemoryError: Java heap space
host_memory_error | OSError: [WinError 1455] The paging file is too small for this operation to complete.
cgroup_oom_killed | Memory cgroup out of memory: Killed process 71 (python3) total-vm:9kB, anon-rss:8kB, file-rss:0kB
cgroup_oom_killed | oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=a,oom_memcg=/a,task_memcg=/a,task=python3,pid=71
cgroup_oom_killed | Last State: Terminated Reason: OOMKilled Exit Code: 137
cgroup_oom_killed | slurmstepd: error: Detected 1 oom_kill event in StepId=71.0.
host_oom_killed | Out of memory: Killed process 71 (python3) total-vm:9kB, anon-rss:8kB, file-rss:0kB
host_oom_killed | oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,global_oom,task=python3,pid=71
host_oom_killed | systemd-oomd[71]: Killed /system.slice/serve.service due to memory pressure for /system.slice being 61%
resource_limit | OSError: [Errno 24] Too many open files: '/models/a/config.json'
resource_limit | RuntimeError: can't start new thread
resource_limit | OpenBLAS blas_thread_init: pthread_create failed for thread 3 of 8: Resource temporarily unavailable
resource_limit | RuntimeError: received 0 items of ancdata
gpu_out_of_memory | torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.
gpu_out_of_memory | torch.OutOfMemoryError: HIP out of memory. Tried to allocate 2.00 GiB.
gpu_out_of_memory | RuntimeError: MPS backend out of memory (MPS allocated: 9.06 GB, max allowed: 9.07 GB).
gpu_out_of_memory | torch.OutOfMemoryError: XPU out of memory. Tried to allocate 2.00 GiB.
gpu_out_of_memory | RuntimeError: CUDA error: out of memory
gpu_out_of_memory | failed call to cuDevicePrimaryCtxRetain: CUDA_ERROR_OUT_OF_MEMORY: out of memory
gpu_out_of_memory | cupy.cuda.runtime.CUDARuntimeError: cudaErrorMemoryAllocation
gpu_out_of_memory | ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9.00 MiB on device 0: cudaMalloc failed: out of memory
gpu_out_of_memory | RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`
gpu_out_of_memory | alloc_tensor_range: failed to allocate CUDA0 buffer of size 9000
gpu_out_of_memory | ggml_vulkan: Device memory allocation of size 9000 failed. vk::Device::allocateMemory: ErrorOutOfDeviceMemory
gpu_out_of_memory | XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9000 bytes.
gpu_out_of_memory | ResourceExhaustedError: OOM when allocating tensor with shape[9000,9000] on /device:GPU:0
gpu_out_of_memory | ValueError: max seq len (9000) is larger than the maximum number of tokens that can be stored in KV cache (90).
gpu_out_of_memory | ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`.
gpu_out_of_memory | ValueError: Free memory on device (3/79 GiB) on startup is less than desired GPU memory utilization (0.9)
gpu_out_of_memory | ValueError: 2.0 GiB KV cache is needed, which is larger than the available KV cache memory (1.2 GiB).
gpu_out_of_memory | RuntimeError: Not enough memory. Please try to increase --mem-fraction-static.
gpu_out_of_memory | ValueError: Some modules are dispatched on the CPU or the disk. Make sure you have enough GPU RAM
gpu_unavailable | AssertionError: Torch not compiled with CUDA enabled
gpu_unavailable | RuntimeError: No CUDA GPUs are available
gpu_unavailable | RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU
gpu_unavailable | RuntimeError: Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False.
gpu_unavailable | RuntimeError: CUDA driver version is insufficient for CUDA runtime version
gpu_unavailable | RuntimeError: The NVIDIA driver on your system is too old (found version 10010).
gpu_unavailable | RuntimeError: CUDA error: no CUDA-capable device is detected
gpu_unavailable | RuntimeError: CUDA error: no kernel image is available for execution on the device
gpu_unavailable | RuntimeError: CUDA error: invalid device ordinal
gpu_unavailable | docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].
gpu_unavailable | nvidia-container-cli: initialization error: nvml error: driver not loaded: unknown
gpu_unavailable | pynvml.NVMLError: NVML_ERROR_DRIVER_NOT_LOADED
gpu_unavailable | Failed to initialize NVML: Driver/library version mismatch
gpu_unavailable | RuntimeError: No accelerator (CUDA, XPU, HPU) is available.
gpu_unavailable | RuntimeError: Failed to infer device type
gpu_fault | RuntimeError: CUDA error: initialization error
gpu_fault | RuntimeError: CUDA error: device-side assert triggered
gpu_fault | RuntimeError: CUDA error: an illegal memory access was encountered
gpu_fault | RuntimeError: CUDA error: misaligned address
gpu_fault | RuntimeError: CUDA error: unspecified launch failure
gpu_fault | RuntimeError: CUDA error: uncorrectable ECC error encountered
gpu_fault | RuntimeError: HIP error: unknown error
gpu_fault | Memory access fault by GPU node-1 (Agent handle: 0x9) on address 0x7. Reason: Page not present.
gpu_fault | NVRM: Xid (PCI:0000:3b:00): 79, pid=71, GPU is lost
gpu_fault | GPU at PCI:0000:3b:00: GPU has fallen off the bus.
gpu_fault | amdgpu 0000:2d:00.0: amdgpu: GPU reset begin!
auth_denied | OSError: You are trying to access a gated repo.
auth_denied | Cannot access gated repo for url https://hub/org/m/resolve/main/config.json.
auth_denied | huggingface_hub.utils._errors.GatedRepoError: 401 Client Error.
auth_denied | Access to model org/m is restricted. You must have access to it and be authenticated to access it.
auth_denied | huggingface_hub.errors.HfHubHTTPError: Invalid user token.
auth_denied | huggingface_hub.errors.HfHubHTTPError: Invalid credentials in Authorization header
auth_denied | botocore.exceptions.NoCredentialsError: Unable to locate credentials
auth_denied | botocore.exceptions.ClientError: An error occurred (AccessDenied) when calling the GetObject operation
auth_denied | requests.exceptions.HTTPError: 401 Client Error: Unauthorized for url: https://hub/org/m
auth_denied | httpx.HTTPStatusError: Client error '403 Forbidden' for url 'https://hub/org/m'
not_found_remote | RepositoryNotFoundError: 401 Client Error. Repository Not Found for url: https://hub/api/models/org/m.
not_found_remote | EntryNotFoundError: 404 Client Error. Entry Not Found for url: https://hub/org/m/resolve/main/x.
not_found_remote | RevisionNotFoundError: 404 Client Error. Revision Not Found for url: https://hub/org/m/resolve/v9/x.
not_found_remote | OSError: v9 is not a valid git identifier (branch name, tag name or commit id) that exists for this model
not_found_remote | Error: pull model manifest: file does not exist
not_found_remote | requests.exceptions.HTTPError: 404 Client Error: Not Found for url: https://hub/org/m
not_found_remote | OSError: org/m is not a local folder and is not a valid model identifier listed on 'the hub'
network_error | huggingface_hub.errors.HfHubHTTPError: 429 Client Error: Too Many Requests for url: https://hub/org/m
network_error | requests.exceptions.HTTPError: 503 Server Error: Service Unavailable for url: https://hub/org/m
network_error | ConnectionError: HTTPSConnectionPool(host='hub', port=443): Max retries exceeded with url: /org/m
network_error | socket.gaierror: [Errno -2] Name or service not known
network_error | socket.gaierror: [Errno -3] Temporary failure in name resolution
network_error | socket.gaierror: [Errno 8] nodename nor servname provided, or not known
network_error | Error: dial tcp 10.0.0.1:443: connect: connection refused
network_error | Error: read tcp 10.0.0.1:443: connection reset by peer
network_error | OSError: [Errno 101] Network is unreachable
network_error | TimeoutError: The read operation timed out
network_error | ReadTimeout: HTTPSConnectionPool(host='hub', port=443): Read timed out. (read timeout=10)
network_error | ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed
network_error | RemoteProtocolError: peer closed connection without sending complete message body (received 1 bytes)
network_error | OSError: We couldn't connect to 'https://hub' to load the files
network_error | LocalEntryNotFoundError: An error happened while trying to locate the file on the Hub
port_in_use | ERROR: [Errno 98] error while attempting to bind on address ('0.0.0.0', 80): address already in use
port_in_use | Error: listen EADDRINUSE: 0.0.0.0:80
port_in_use | Connection in use: ('0.0.0.0', 80) Port 80 is already in use
timeout | Watchdog caught collective operation timeout: WorkNCCL(SeqNum=1, OpType=ALLREDUCE)
timeout | [CRITICAL] WORKER TIMEOUT (pid:71)
timeout |   File "/venv/gunicorn/workers/base.py", line 204, in handle_abort
timeout | [TP0] Watchdog timeout (self.watchdog_timeout=300)
timeout | RuntimeError: Timed out waiting for the model server to become ready
segfault | Fatal Python error: Segmentation fault
segfault | python3[71]: segfault at 0 ip 00007f sp 00007f error 4 in libc.so.6[7f+1]
segfault | [host:71:0:71] Caught signal 11 (Segmentation fault: address not mapped to object)
segfault | Segmentation fault (core dumped)
bus_error | Fatal Python error: Bus error
bus_error | ERROR: Unexpected bus error encountered in worker. This might be caused by insufficient shared memory
bus_error | Bus error (core dumped)
illegal_instruction | traps: python3[71] trap invalid opcode ip:7f sp:7f error:0 in libfoo.so
illegal_instruction | Fatal Python error: Illegal instruction
illegal_instruction | Illegal instruction (core dumped)
aborted | Fatal Python error: Aborted
aborted | terminate called after throwing an instance of 'c10::Error'
aborted | GGML_ASSERT: ggml.c:100: buf != NULL
aborted | Aborted (core dumped)
unknown | llama_model_load: error loading model: something of tomorrow
unknown | srv load_model: failed to load model, 'm.gguf'
unknown | main: error: unable to load model
killed | /entrypoint.sh: line 3:    71 Killed                  python3 serve.py
"""  # noqa: E501  # a wording is quoted in one line, as it is printed
LINES = [tuple(line.split(" | ", 1)) for line in SAID.strip("\n").splitlines()]


@pytest.mark.parametrize(("reason", "line"), LINES, ids=[f"{reason}-{at}" for at, (reason, _) in enumerate(LINES)])
def test_a_wording_gives_its_reason(reason: str, line: str) -> None:
    """A line that a library, runtime or kernel prints is given its reason by the table."""
    hit = patterns.search(line, log=True)
    assert hit is not None
    assert hit[0].reason == reason, hit[0]


def test_each_pattern_has_a_line_that_it_fits() -> None:
    """No row of the table is without an example of its own reason."""
    untested = [
        pattern
        for pattern in patterns.PATTERNS
        if not any(
            reason == pattern.reason and patterns.fits(pattern, line, line.lower()) is not None
            for reason, line in LINES
        )
    ]
    assert untested == []


def test_each_row_is_well_formed() -> None:
    """Reasons are of the closed set, needles stand in lower case, expressions compile, no row is there twice."""
    for pattern in patterns.PATTERNS:
        assert pattern.reason in REASONS, pattern
        assert pattern.needle == pattern.needle.lower() != "", pattern
        assert pattern.rank in (patterns.LAST, patterns.VAGUE, patterns.PLAIN, patterns.EXACT), pattern
        re.compile(pattern.regex)
    rows = [(pattern.needle, pattern.regex) for pattern in patterns.PATTERNS]
    assert len(rows) == len(set(rows))


def test_no_expression_is_slow_on_a_hostile_line() -> None:
    """A line made of an expression's own words, over and over, costs no pattern more than a moment."""
    for pattern in patterns.PATTERNS:
        words = re.sub(r"\\[dwsSb]|[^\w .:']", " ", pattern.regex)
        line = (f"{pattern.needle} {words} " * 2000)[:2000]
        begun = time.process_time()
        patterns.fits(pattern, line, line.lower())
        patterns.fits(pattern, line + "error", line)
        assert time.process_time() - begun < 0.1, pattern


@pytest.mark.parametrize(
    "line",
    [
        "INFO 11-07 17:49:16 model_runner.py:889] If you are running out of memory, consider decreasing the batch",
        "WARNING 11-07 17:49:16 selector.py:51] Cannot use FlashAttention-2 backend: No module named 'flash_attn'",
        "/venv/torch/cuda/__init__.py:1: UserWarning: CUDA initialization: Found no NVIDIA driver on your system.",
        "UserWarning: Not enough free disk space to download the file. The expected file size is: 0.05 MB.",
        "Some weights of BertModel were not initialized from the model checkpoint and are newly initialized",
        "Special tokens have been added in the vocabulary, make sure the associated word embeddings are fine-tuned",
        "Loading checkpoint shards: 100%|██████████| 2/2 [00:01<00:00,  1.56it/s]",
        "Uvicorn running on http://0.0.0.0:8000 (Press CTRL+C to quit)",
        "torch_dtype is deprecated! Use dtype instead!",
        "Setting pad_token_id to eos_token_id:2 for open-end generation.",
        "ERROR: ld.so: object 'x.so' from LD_PRELOAD cannot be preloaded (cannot open shared object file): ignored.",
        "2024-05-01 08:45:12.1: W tensorflow/dso_loader.cc:64] libcudart.so: cannot open shared object file",
        "2024-05-01 08:45:12.1: E xla/cuda_driver.cc:266] failed call to cuInit: no CUDA-capable device is detected",
        "warning: failed to mlock 9000-byte buffer (after previously locking 0 bytes): Cannot allocate memory",
        "Trial 404 of 500: accuracy 0.401, 403 samples",
        "the previous run was killed by its scheduler and has been resumed",
    ],
)
def test_a_frightening_line_is_no_failure(line: str) -> None:
    """What a load prints that goes on is not called a failure."""
    assert classify_text(line) is None
