"""What clouds, clusters, notebooks and desktop systems say when they end a service, or see it end.

containers' limits ─> memory ─> time ─> disk ─> ended by the platform ─> ended, and that is all
"""

from model_load_exporter.classify.patterns.row import LAST, PLAIN, VAGUE, Pattern

ROWS: tuple[Pattern, ...] = (
    # a container's own limit
    Pattern("cgroup_oom_killed", "oom-killed", r"(?i)\b(?:container|pod|task|init)\b.{0,80}OOM-killed", "runc",
            log=True),
    Pattern("cgroup_oom_killed", "due to oom", r"(?i)\b(?:container|pod|task|function)\b.{0,200}\bdue to OOM\b",
            "ECS, kubernetes", log=True, loud=True),
    Pattern("cgroup_oom_killed", "are going to be killed due to memory.oom.group", "", "kernel", "4.19-", log=True),
    Pattern("cgroup_oom_killed", "memory limit", r"(?i)exceeded (?:soft|hard) (?:private )?memory limit", "App Engine",
            log=True),
    Pattern("cgroup_oom_killed", "max memory used",
            r"Memory Size: (\d+) MB\s+Max Memory Used: \1 MB", "AWS Lambda", log=True, rank=PLAIN),
    Pattern("cgroup_oom_killed", "out of memory",
            r"(?i)\b(?:replica|container|instance|dyno|pod|function|runner)\b.{0,60}\bran out of memory\b",
            "Vertex AI, Render, Modal", log=True, rank=PLAIN),
    Pattern("cgroup_oom_killed", "ran out-of-memory", "", "Vertex AI", log=True),
    Pattern("cgroup_oom_killed", "gone over its resource limits", "", "Streamlit", log=True, rank=PLAIN),
    # the host's memory
    Pattern("host_oom_killed", "after using all available ram", "", "Colab", log=True),
    Pattern("host_oom_killed", "tried to allocate more memory than is available", "", "Kaggle", log=True),
    Pattern("host_oom_killed", "to avoid running out of memory", r"(?i)kill", "ray", "2.0-2.1", log=True),
    Pattern("host_oom_killed", "oom killed", r"(?i)\bprocess\b.{0,40}\bbeen OOM killed", "fly.io", log=True,
            rank=PLAIN),
    Pattern("host_oom_killed", "terminated due to memory issue", "", "iOS", log=True),
    Pattern("host_memory_error", "page allocation failure: order", "", "kernel", log=True, rank=PLAIN),
    Pattern("host_memory_error", "low virtual memory condition", "", "Windows", log=True, rank=PLAIN),
    Pattern("host_memory_error", "insufficient memory for the java runtime", "", "JVM"),
    Pattern("host_memory_error", "system.outofmemoryexception", "", ".NET"),
    Pattern("host_memory_error", "bad allocation", r"(?i)(?:error|exception|what\(\)).{0,200}bad allocation", "MSVC"),
    Pattern("host_memory_error", "by allocator cpu", r"(?i)OOM when allocating|ran out of memory", "tensorflow"),
    # other limits
    Pattern("resource_limit", "resource:", r"\bRESOURCE:(?:MEMORY|CPU|GPU|ENI|PORTS)\b", "ECS", log=True, rank=PLAIN),
    Pattern("resource_limit", "no container instance met all of its requirements", "", "ECS", log=True, rank=PLAIN),
    Pattern("resource_limit", "nodes are available that match all", r"Insufficient (?:cpu|memory|pods)", "kubernetes",
            "-1.12", log=True, rank=PLAIN),
    Pattern("resource_limit", "inotify", r"inotify (?:watch|instance) limit reached", "watchdog"),
    Pattern("resource_limit", "tried to allocate too many memory regions", "", "OpenBLAS"),
    Pattern("resource_limit", "unable to allocate necessary resources for omp thread", "", "OpenMP"),
    Pattern("resource_limit", "resource temporarily unavailable", r"^\s*what\(\): +Resource temporarily", "C++",
            log=True, rank=PLAIN),
    # time
    Pattern("timeout", "respond to http pings", "", "Azure", log=True, rank=PLAIN),
    Pattern("timeout", "model server never became ready", "", "Vertex AI", log=True),
    Pattern("timeout", "your invocation timed out", "", "SageMaker", log=True),
    Pattern("timeout", "launch timed out", "", "Hugging Face Spaces", log=True),
    Pattern("timeout", "port scan timeout reached", "", "Render", log=True, rank=PLAIN),
    Pattern("timeout", "harakiri on worker", "", "uWSGI", log=True, rank=PLAIN),
    Pattern("timeout", "timeout when reading response headers from daemon", "", "mod_wsgi", log=True, rank=VAGUE),
    Pattern("timeout", "anr in ", r"\bANR in \w", "Android", log=True, rank=PLAIN),
    # disk
    Pattern("disk_full", "low on resource: ",
            r"low on resource: (?:nodefs|imagefs|containerfs|ephemeral-storage|inodes)",
            "kubernetes", log=True, rank=PLAIN),
    Pattern("disk_full", "storage limit exceeded", "", "Hugging Face Spaces", log=True),
    # ended by the platform
    Pattern("killed", "is unhealthy, it will be killed", "", "kubernetes", "-1.13", log=True),
    Pattern("killed", "taintmanagereviction", "", "kubernetes", log=True, rank=LAST),
    Pattern("killed", "interrupted due to", r"(?i)interrupted due to .{0,20}preempt", "Modal", log=True, rank=PLAIN),
    Pattern("host_rebooted", "has been rebooted", r"(?i)node \S+ has been rebooted", "kubernetes", log=True,
            rank=PLAIN),
    # ended, and that is all
    Pattern("process_died", "to crashed", r"State changed from \w+ to crashed", "Heroku", log=True, rank=LAST),
    Pattern("process_died", "code=h10", "", "Heroku", log=True, rank=LAST),
    Pattern("process_died", "python kernel is unresponsive", "", "Databricks", log=True, rank=LAST),
    Pattern("process_died", "kernelrestarter: restart", "", "jupyter", log=True, loud=True, rank=LAST),
    Pattern("process_died", "kernel died", r"(?i)\bkernel died\b", "jupyter", rank=LAST),
    Pattern("process_died", "end of script output before headers", "", "Apache",
            log=True, rank=LAST),
)  # fmt: skip
"""Rows of platforms, whatever their branch."""
