"""Why a model load failed: the closed set of reasons, drawn once.

    Reason
     x files    file_missing file_empty file_corrupted lfs_pointer shard_missing
     |          permission_denied disk_full unsafe_pickle
     x fit      dependency_missing version_incompatible config_invalid
     |          architecture_mismatch trust_remote_code_required
     x memory   host_oom_killed cgroup_oom_killed host_memory_error resource_limit
     x gpu      gpu_out_of_memory gpu_unavailable gpu_fault
     x hub      auth_denied not_found_remote network_error
     x process  segfault bus_error illegal_instruction aborted killed process_died
     |          timeout port_in_use host_rebooted
     x unknown  unknown

Label values, alert annotations, runbook anchors, the status page and every JSON answer derive from this table.
`none`, which log analysis answers when nothing failed, is no reason and no label value.
"""

from dataclasses import dataclass

RUNBOOK = "ModelLoadFailure"
"""The alert whose runbook has one section for each reason."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One way for a load to fail.

    name: the label value. family: its branch of the tree above. sentence: what happened, for a person.
    remedy: the first thing to do. passing: True where the same load may succeed on a later try without
    anybody's help; a retry is worth it only then.
    """

    name: str
    family: str
    sentence: str
    remedy: str
    passing: bool = False

    @property
    def anchor(self) -> str:
        """The reason's section: `ModelLoadFailure#file_missing`, below the runbooks' address."""
        return f"{RUNBOOK}#{self.name}"


def _family(family: str, *rows: tuple[str, str, str] | tuple[str, str, str, bool]) -> tuple[Reason, ...]:
    return tuple(Reason(row[0], family, row[1], row[2], len(row) == 4 and row[3]) for row in rows)


_TREE: tuple[Reason, ...] = (
    *_family(
        "files",
        (
            "file_missing",
            "A model file or folder does not exist at the path that was asked for.",
            "Compare the path with what is on the disk; download or mount the model again.",
        ),
        (
            "file_empty",
            "A model file has no bytes in it.",
            "Delete it and download the model again; look for a full disk or an interrupted copy.",
        ),
        (
            "file_corrupted",
            "A model file is truncated, damaged, or not of the format that its name promises.",
            "Compare its checksum with the source and download it again.",
        ),
        (
            "lfs_pointer",
            "A file is a Git LFS pointer of some 130 bytes, not the weights that it stands for.",
            "Run `git lfs pull` in the model's folder, or download from the hub instead of cloning.",
        ),
        (
            "shard_missing",
            "The index names a weights shard that is not there.",
            "Download the missing shard; the index file (*.index.json) lists them all.",
        ),
        (
            "permission_denied",
            "The service's user may not read a model file or enter its folder.",
            "Give the service's user read access to the files and search access to every folder above them.",
        ),
        (
            "disk_full",
            "The disk filled up while model files were being written.",
            "Free space on the cache's disk, or move the cache to a larger one.",
        ),
        (
            "unsafe_pickle",
            "A pickle checkpoint wants to run code that weights alone do not need.",
            "Do not load it. Get the model as safetensors, or from a publisher whom you trust.",
        ),
    ),
    *_family(
        "fit",
        (
            "dependency_missing",
            "A Python package or shared library that the load needs is not installed.",
            "Install the package that the message names into the service's environment.",
        ),
        (
            "version_incompatible",
            "An installed version does not fit the model or another package.",
            "Install the versions that the model's config.json and the packages' requirements ask for.",
        ),
        (
            "config_invalid",
            "The model's configuration, tokenizer file or load arguments are not valid.",
            "Check config.json and the tokenizer files, and the arguments of the load call.",
        ),
        (
            "architecture_mismatch",
            "The weights do not fit the model class: other shapes, names or data types.",
            "Load with the class that config.json names, and with weights of the same revision.",
        ),
        (
            "trust_remote_code_required",
            "The model brings its own Python code, which was not allowed to run.",
            "Review that code; then pass trust_remote_code=True with a pinned revision, or take another model.",
        ),
    ),
    *_family(
        "memory",
        (
            "host_oom_killed",
            "The kernel killed the process because the host ran out of memory.",
            "Free memory on the host, or load less: safetensors, reduced precision, one model at a time.",
        ),
        (
            "cgroup_oom_killed",
            "The kernel killed the process because its container or cgroup hit its memory limit.",
            "Raise the container's memory limit above the load's peak, or lower the peak (safetensors, bf16).",
        ),
        (
            "host_memory_error",
            "An allocation failed and the process said so (MemoryError, bad_alloc).",
            "Free memory or raise the limit; a load needs up to twice the size of a pickle checkpoint.",
        ),
        (
            "resource_limit",
            "A resource limit stopped the load: open files, address space, locked memory, CPU time.",
            "Raise the limit that the message names (ulimit, LimitNOFILE=, RLIMIT_AS).",
        ),
    ),
    *_family(
        "gpu",
        (
            "gpu_out_of_memory",
            "The GPU has too little free memory for the model.",
            "See who holds GPU memory (nvidia-smi); use a smaller precision, another GPU, or offload to the CPU.",
            True,
        ),
        (
            "gpu_unavailable",
            "No usable GPU or driver was found.",
            "Check nvidia-smi on the host and the container's GPU access; load on the CPU meanwhile.",
        ),
        (
            "gpu_fault",
            "The GPU or its driver reported an error during the load.",
            "Look for NVRM Xid lines in the kernel log; drain the host and reset the GPU.",
        ),
    ),
    *_family(
        "hub",
        (
            "auth_denied",
            "The model hub refused access: no token, a wrong one, or a gated model.",
            "Set a valid token and accept the model's terms with that account.",
        ),
        (
            "not_found_remote",
            "The model hub has no such model, revision or file.",
            "Check the repository's name and the revision for typing errors or removal.",
        ),
        (
            "network_error",
            "The model hub could not be reached, or the download broke off.",
            "Check network, proxy and name resolution; serve models from a local cache.",
            True,
        ),
    ),
    *_family(
        "process",
        (
            "segfault",
            "The process ended by a segmentation fault (SIGSEGV) during the load.",
            "Look at the native library that the kernel log names; reinstall or pin it.",
        ),
        (
            "bus_error",
            "The process ended by a bus error (SIGBUS): a mapped file shrank, or /dev/shm is too small.",
            "Never replace model files in place; check the file's size and the size of /dev/shm.",
        ),
        (
            "illegal_instruction",
            "The process ended by an illegal instruction (SIGILL): a build for another CPU.",
            "Install a build for this CPU (no AVX-512, for example), or move the service.",
        ),
        (
            "aborted",
            "The process aborted itself (SIGABRT): a native library gave up.",
            "Read the last lines of its standard error; a C++ library says why before it aborts.",
        ),
        (
            "killed",
            "Somebody ended the process with a signal, and there is no trace of memory pressure.",
            "Find who sends it: a supervisor's timeout, a liveness probe, a deployment, a person.",
            True,
        ),
        (
            "process_died",
            "The process ended during the load, and nothing says how.",
            "Look at the service's own log; run the exporter with more evidence (see its status page).",
        ),
        (
            "timeout",
            "The load did not finish within its time limit.",
            "See at which stage it waited; raise the limit only if the stage was making progress.",
            True,
        ),
        (
            "port_in_use",
            "The server could not take its port, so the load was for nothing.",
            "Find the other process on that port (ss -ltnp) and end it, or change the port.",
        ),
        (
            "host_rebooted",
            "The host went down while the load was under way.",
            "Find out why the host restarted; the load itself may be fine.",
            True,
        ),
    ),
    *_family(
        "unknown",
        (
            "unknown",
            "The load failed for a reason that is not recognised.",
            "Read the message in the load's history, and report it so that it can be recognised.",
        ),
    ),
)

REASONS: dict[str, Reason] = {reason.name: reason for reason in _TREE}
"""Every reason by its name, in the order of the tree."""

FAMILIES: tuple[str, ...] = tuple(dict.fromkeys(reason.family for reason in _TREE))


def reason_or_unknown(name: str | None) -> str:
    """The name itself if it is of the closed set, else `unknown`: foreign text never becomes a label value."""
    return name if name in REASONS else "unknown"
