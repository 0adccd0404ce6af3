"""What errors have in common, of whatever library: the words that a load's error uses for each branch of the tree.

These rows are believed only when no row of a known wording speaks, and only on a line that says it is an error. They
are why a library that nobody here has heard of still gives a reason.
"""

from model_load_exporter.classify.patterns.row import VAGUE, Pattern

_E = r"(?:\b\w*(?:Error|Exception|Fail|Failure)\b|\b(?:ERROR|Error|error|FATAL|fatal|CRITICAL)\b)"

_ARGUMENT = r"(?:ValueError|AssertionError|TypeError|ArgumentTypeError|ValidationError|Value error|error: argument)\b"

ROWS: tuple[Pattern, ...] = (
    Pattern("architecture_mismatch", "mismatch",
            _E + r"(?i:.{0,200}\b(?:shapes?|sizes?|dimensions?|dims?|dtypes?|layers?|keys?|tensors?|weights?|"
            r"num_labels)\b.{0,60}mismatch|.{0,200}mismatch.{0,80}\b(?:shapes?|sizes?|dimensions?|layers?|keys?|"
            r"tensors?|weights?|checkpoint))", rank=VAGUE),
    Pattern("version_incompatible", "mismatch",
            _E + r"(?i:.{0,200}version.{0,40}mismatch|.{0,200}mismatch.{0,40}version)", rank=VAGUE),
    Pattern("architecture_mismatch", "checkpoint",
            _E + r"(?i:.{0,300}(?:keys?|params?|parameters?|weights?|tensors?|layers?)\b.{0,100}(?:missing|not found|"
            r"not in|unexpected|does not match|do not match|don't match).{0,60}checkpoint)", rank=VAGUE),
    Pattern("architecture_mismatch", "match",
            _E + r"(?i:.{0,200}\b(?:shapes?|sizes?|dimensions?|channels|number of layers|hidden_size|"
            r"vocab\w*)\b.{0,80}(?:does ?n[o']t|do ?n[o']t|must|did ?n[o']t) match)", rank=VAGUE),
    Pattern("architecture_mismatch", "not found in",
            r"KeyError: .{0,60}(?:weight|bias|param\w*|layer|state_dict|checkpoint|model\.)", rank=VAGUE),
    Pattern("version_incompatible", "version",
            _E + r"(?i:.{0,300}(?:requires?|needs?|expected?|minimum|at least|install|"
            r"use).{0,60}\bversions?\b.{0,60}(?:but|got|found|or (?:higher|newer|later)|[<>=]=|\d)|"
            r".{0,300}\bversions?\b.{0,80}(?:not supported|unsupported|too old|too new|incompatible|not "
            r"compatible|outdated|older than|newer than|out of date|is required)|.{0,200}(?:unsupported|"
            r"incompatible|unknown|unexpected|wrong) (?:\w+ ){0,3}version)", rank=VAGUE),
    Pattern("version_incompatible", "incompatible", _E + r"(?i:.{0,300}incompatible with|.{0,200}not compatible with)",
            rank=VAGUE),
    Pattern("version_incompatible", "not compatible", _E + r"(?i:.{0,300}not compatible)", rank=VAGUE),
    Pattern("version_incompatible", "deprecated", _E + r"(?i:.{0,200}(?:removed|no longer supported|deprecated and))",
            rank=VAGUE),
    Pattern("version_incompatible", "no longer supported", _E, rank=VAGUE),
    Pattern("version_incompatible", "future version", _E, rank=VAGUE),
    Pattern("version_incompatible", "has been removed", _E, rank=VAGUE),
    Pattern("version_incompatible", "architecture",
            _E + r"(?i:.{0,200}(?:unsupported|unknown|not supported|unrecognized).{0,40}architecture|"
            r".{0,200}architecture.{0,100}(?:not supported|unsupported|unknown|not recogni[sz]ed|not implemented))",
            rank=VAGUE),
    Pattern("version_incompatible", "not implemented for '", r"\"?\w+\"? not implemented for '", "torch", rank=VAGUE),
    Pattern("gpu_unavailable", "cuda",
            _E + r"(?i:.{0,200}(?<![`.])CUDA.{0,40}(?:not available|unavailable|not found|not detected|is required|not "
            r"enabled|not supported)|.{0,100}(?:requires?|needs?|no) (?:a |an )?(?:CUDA|NVIDIA|GPU))", rank=VAGUE),
    Pattern("gpu_unavailable", "gpu",
            _E + r"(?i:.{0,200}\bGPUs?\b.{0,40}(?:not available|unavailable|not found|not detected|is required|not "
            r"supported)|.{0,100}(?:no|without(?: an?)?|requires? an?) (?:compatible |usable |available |nvidia |"
            r"cuda )?GPUs?\b)", rank=VAGUE),
    Pattern("gpu_out_of_memory", "allocat",
            r"(?i)\b(?:fail\w*|unable|cannot|could not|can't)\b.{0,20}\ballocat\w*\b(?!.*\b(?:pinned|host memory))"
            r".{0,120}\b(?:GPU|CUDA\d*|VRAM|device memory|HBM|video memory)\b", rank=VAGUE),
    Pattern("host_memory_error", "allocat",
            r"(?i)^(?!.*(?:pinned|mlock|GPU|CUDA|VRAM|Metal|Vulkan|HIP|ROCm|SYCL|device))"
            r".*\b(?:fail\w*|unable|cannot|could not|can't) (?:to )?allocate\b.{0,60}(?:\bbytes|"
            r"\bmemory|\d ?[KMGT]i?B)\b",
            rank=VAGUE),
    Pattern("host_memory_error", "memory allocation failed",
            r"(?i)^(?!.*(?:GPU|CUDA|VRAM|Metal|Vulkan|HIP|ROCm|SYCL|device)).*memory allocation failed", rank=VAGUE),
    Pattern("gpu_out_of_memory", "memory allocation failed",
            r"(?i)\b(?:GPU|CUDA|VRAM|Metal|Vulkan|HIP|ROCm|SYCL|device) memory allocation failed", rank=VAGUE),
    Pattern("unsafe_pickle", "unsafe",
            _E + r"(?i:.{0,200}(?:unsafe|malicious).{0,80}(?:pickle|file|model|load|checkpoint))", rank=VAGUE),
    Pattern("file_corrupted", "corrupt",
            _E + r"(?i:.{0,300}\b(?:file|archive|checkpoint|model|weights|header|data|download)\b.{0,80}corrupt|"
            r".{0,300}corrupt(?:ed)?\b.{0,60}\b(?:file|archive|checkpoint|model|weights|header|data))", rank=VAGUE),
    Pattern("file_corrupted", "truncated", _E + r"(?i:.{0,300}truncated)", rank=VAGUE),
    Pattern("file_corrupted", "checksum", _E + r"(?i:.{0,300}checksum)", rank=VAGUE),
    Pattern("file_corrupted", "failed to parse",
            _E + r"(?i:.{0,200}failed to parse .{0,60}(?:model|protobuf|flatbuffer|header|onnx|gguf))", rank=VAGUE),
    Pattern("file_corrupted", "unrecognized file format", _E, rank=VAGUE),
    Pattern("file_corrupted", "not a valid",
            _E + r"(?i:.{0,200}not a valid (?:model|checkpoint|onnx|gguf|safetensors|zip|tflite|hdf5|pickle|weights?|"
            r"archive)\b)", rank=VAGUE),
    Pattern("file_corrupted", "is not a",
            _E + r"(?i:.{0,200}(?:file|archive) is not a (?:\w+ ){1,2}(?:model|file|archive|checkpoint)|"
            r".{0,200}deserializ\w+ .{0,60}failed)", rank=VAGUE),
    Pattern("file_empty", "is empty", _E + r"(?i:.{0,200}\b(?:file|model|checkpoint|weights?)\b.{0,100}is empty)",
            rank=VAGUE),
    Pattern("dependency_missing", "librar",
            _E + r"(?i:.{0,200}\b(?:library|libraries)\b.{0,100}(?:not found|not installed|missing|cannot be loaded|"
            r"could not be loaded|in your PATH))", rank=VAGUE),
    Pattern("dependency_missing", "install",
            _E + r"(?i:.{0,300}(?:needs?|needed|have|has|must|required|requires?) (?:\w+ ){0,4}(?:to be |be "
            r")?install(?:ed)?\b|.{0,200}could not be loaded.{0,60}install)", rank=VAGUE),
    Pattern("dependency_missing", "kernel",
            _E + r"(?i:.{0,200}(?:kernels?|extensions?|plugins?|backend)\b.{0,60}(?:not found|not installed|could not "
            r"be loaded|is not available|cannot be loaded))", rank=VAGUE),
    Pattern("file_missing", "not found",
            _E + r"(?i:.{0,300}(?:[/\\~]\S+|\.\w{2,12}\b|\b(?:file|folder|directory|model|weights?|checkpoint|"
            r"path)\b).{0,120}not found|.{0,200}not found.{0,40}[/\\])", rank=VAGUE),
    Pattern("file_missing", "not exist", _E + r"(?i:.{0,300}(?:does not exist|doesn't exist|do not exist|not exists?))",
            rank=VAGUE),
    Pattern("file_missing", "doesn't exist", _E, rank=VAGUE),
    Pattern("file_missing", "find",
            _E + r"(?i:.{0,200}(?:cannot|can't|can not|could not|couldn't|unable to|failed to|did not|not) find "
            r".{0,120}(?:file|folder|directory|model|weights?|checkpoint|config|vocab|[/\\]|\.\w{2,12}\b))",
            rank=VAGUE),
    Pattern("file_missing", "find",
            r"(?i)\b(?:cannot|can't|could not|couldn't|unable to|failed to|did not) find .{0,120}\b(?:file|folder|"
            r"directory|model|weights?|checkpoint)\b.{0,80}\b(?:exiting|aborting|giving up|quitting)\b", rank=VAGUE),
    Pattern("file_missing", "unable to find '", r"unable to find '/.{1,300}' for model instance", "tritonserver",
            rank=VAGUE),
    Pattern("file_missing", "unable to read", _E + r"(?i:.{0,100}unable to read .{0,40}(?:model|file|[/\\]))",
            rank=VAGUE),
    Pattern("file_missing", "open",
            _E + r"(?i:.{0,200}(?:cannot|can't|could not|couldn't|unable to|failed to) open(?! shared))", rank=VAGUE),
    Pattern("auth_denied", "unauthorized", _E, rank=VAGUE),
    Pattern("auth_denied", "forbidden", _E, rank=VAGUE),
    Pattern("auth_denied", "access denied", _E, rank=VAGUE),
    Pattern("auth_denied", "authenticat", _E + r"(?i:.{0,200}authenticat\w+ (?:failed|failure|required|error))",
            rank=VAGUE),
    Pattern("network_error", "download",
            _E + r"(?i:.{0,200}(?:failed|unable|could not|couldn't|error) (?:to |while |during )?(?:\w+ )?download)",
            rank=VAGUE),
    Pattern("network_error", "connection",
            _E + r"(?i:.{0,200}connection (?:error|aborted|closed|failed|timed out|lost|was closed))", rank=VAGUE),
    Pattern("config_invalid", "config", _E + r"(?i:.{0,200}\b(?:invalid|missing|malformed|unexpected|wrong|bad|unknown|"
            r"unsupported)\b.{0,100}config|.{0,200}config\S*.{0,120}\b(?:invalid|missing|malformed|required|must|"
            r"should|not (?:a )?valid|not supported|lacks?)\b)", rank=VAGUE),
    Pattern("config_invalid", "must be",
            r"(?:ValueError|TypeError|AssertionError|ValidationError|Value error|KeyError)\b.{0,300}must be",
            rank=VAGUE),
    Pattern("config_invalid", "should be",
            r"(?:ValueError|TypeError|AssertionError|ValidationError|Value error)\b.{0,300}should be", rank=VAGUE),
    Pattern("config_invalid", "invalid",
            r"(?:ValueError|TypeError|ValidationError|Value error)\b.{0,200}\b[Ii]nvalid\b", rank=VAGUE),
    Pattern("config_invalid", "unsupported",
            r"(?:ValueError|TypeError|ValidationError|Value error|NotImplementedError)\b.{0,200}\b[Uu]nsupported\b",
            rank=VAGUE),
    Pattern("config_invalid", "support",
            r"(?:ValueError|TypeError|ValidationError|Value error|NotImplementedError)\b.{0,300}(?:not|n't|only) "
            r"(?:\w+ ){0,2}support", rank=VAGUE),
    Pattern("config_invalid", "unknown ",
            r"(?:ValueError|KeyError|ValidationError|Value error)\b.{0,100}\b[Uu]nknown\b", rank=VAGUE),
    Pattern("config_invalid", "unrecognized", r"(?:ValueError|KeyError|Error)\b.{0,200}\b[Uu]nrecognized\b",
            rank=VAGUE),
    Pattern("config_invalid", "please specify", _E, rank=VAGUE),
    Pattern("config_invalid", "validation error", r"\d+ validation errors? for \w+", "pydantic", rank=VAGUE),
    Pattern("dependency_missing", "pip install", _E + r"(?!.{0,400}(?:[Uu]pgrade| -U\b|[<>=]=)).{0,400}pip3? install",
            rank=VAGUE),
    Pattern("dependency_missing", "install `", _E + r".{0,300}[Ii]nstall `\w", rank=VAGUE),
    Pattern("version_incompatible", "upgrade", _E + r".{0,300}\b[Uu]pgrade\b", rank=VAGUE),
    Pattern("version_incompatible", "require", _E + r".{0,300}\brequires? `?[\w. -]{1,40}`? ?[<>]=? ?v?\d+\.\d",
            rank=VAGUE),
    Pattern("gpu_unavailable", "requires ",
            _E + r".{0,200}requires .{0,60}(?:Blackwell|Hopper|Ampere|compute capability|\bsm_?\d\d|CUDA device|Apple "
            r"Silicon)", rank=VAGUE),
    Pattern("architecture_mismatch", "expect",
            _E + r"(?i:.{0,200}\b(?:shapes?|dims?|dimensions?|layers?|channels|variables|"
            r"weights)\b.{0,120}expect\w*\b.{0,120}(?:got|found|received|instead)|"
            r".{0,200}expect\w*\b.{0,100}(?:shapes?|dimensions?|layers?|channels|weights)\b.{0,120}(?:got|found|"
            r"received|instead))", rank=VAGUE),
    Pattern("config_invalid", "divisible", _ARGUMENT + r".{0,300}divi[sd]ible", rank=VAGUE),
    Pattern("config_invalid", "mutually exclusive", _E, rank=VAGUE),
    Pattern("config_invalid", "at the same time", _ARGUMENT, rank=VAGUE),
    Pattern("config_invalid", "not both", _ARGUMENT, rank=VAGUE),
    Pattern("config_invalid", "can be",
            _E + r".{0,300}(?:can be (?:one of|only|either)|(?:only|both) .{0,60}can be (?:used|set|specified|true))",
            rank=VAGUE),
    Pattern("config_invalid", "cannot be",
            _E + r".{0,300}cannot be (?:set|used|passed|empty|None|False|True|combined|larger|greater|smaller|less|"
            r"specified|both|enabled|negative|zero)", rank=VAGUE),
    Pattern("config_invalid", "supported",
            _ARGUMENT + r".{0,300}\b(?:supported only|only .{1,60}supported|supported when)", rank=VAGUE),
    Pattern("config_invalid", "supports ", _ARGUMENT + r".{0,300}\bsupports .{0,200}\b(?:but|got)\b", rank=VAGUE),
    Pattern("config_invalid", "support", r"AssertionError.{0,300}(?:not|n't|only) (?:\w+ ){0,2}support", rank=VAGUE),
    Pattern("config_invalid", "does not support", r"error loading model: .{0,200}does not support", "llama.cpp",
            rank=VAGUE),
    Pattern("config_invalid", "require", _ARGUMENT + r".{0,300}\b(?:requires?|(?:is|are) required)\b", rank=VAGUE),
    Pattern("config_invalid", "please",
            _E + r".{0,400}[Pp]lease (?:set|pass|provide|specify|choose|use|enable|disable|make sure|check (?:the|"
            r"your) (?:param|arg|config|value))", rank=VAGUE),
    Pattern("config_invalid", "you ",
            _E + r".{0,300}\b[Yy]ou (?:must|need to|should|cannot|can't|have to|(?:have )?passed|have set|did not "
            r"(?:set|pass|specify)) ", rank=VAGUE),
    Pattern("config_invalid", " than ",
            _ARGUMENT + r".{0,300}\b(?:greater|larger|smaller|less|more|bigger|longer) than\b", rank=VAGUE),
    Pattern("config_invalid", "exceed", _ARGUMENT + r".{0,300}\bexceeds? ", rank=VAGUE),
    Pattern("version_incompatible", "positional argument",
            r"TypeError: \S+ takes .{1,40}positional arguments?\b.{0,40}given", "Python", rank=VAGUE,
            note="an object that another version pickled, or is called by one"),
)  # fmt: skip
"""Rows that fit errors of any library."""
