"""GPUs: driver, free memory, and whether torch's CUDA fits the driver."""

from collections.abc import Sequence

from model_load_exporter.doctor.finding import Finding, fine
from model_load_exporter.doctor.inspection import Interpreter
from model_load_exporter.doctor.memory import Need
from model_load_exporter.gpu.nvml import NoGpu, Nvml
from model_load_exporter.units import format_size

AREA = "GPU"


def check(interpreters: Sequence[Interpreter], needs: Sequence[Need]) -> list[Finding]:
    """What the driver tells, against what the interpreters' torch was built for."""
    try:
        nvml = Nvml()
        reading = nvml.read()
        newest = nvml.cuda_version()
    except NoGpu as nothing:
        return _without(interpreters, str(nothing))
    except Exception as error:
        # Whatever a driver raises, the rest of the report stands.
        return [Finding(
            "problem", AREA, f"the driver does not answer: {error}", "every load on the GPU fails: gpu_unavailable",
            "nvidia-smi; dmesg | grep -i nvrm",
        )]  # fmt: skip
    found = []
    for card in reading.cards:
        free = card.memory_free
        what = f"GPU {card.gpu}: {card.name}, driver {reading.driver}"
        found.append(fine(AREA, f"{what}, {format_size(free)} free" if free is not None else what))
        for need in needs:
            if free is not None and need.gpu is not None and need.gpu > free:
                found.append(Finding(
                    "warning", AREA, f"{need.model} needs about {format_size(need.gpu)}; GPU {card.gpu} has less free",
                    "a load onto this GPU runs out of memory: gpu_out_of_memory",
                    "nvidia-smi shows who holds it; or load in a smaller precision",
                ))  # fmt: skip
    found += [
        Finding("problem", AREA, f"GPU {lost} fell off the bus", "loads onto it fail: gpu_fault", "reboot the host")
        for lost in reading.lost
    ]
    for interpreter in interpreters:
        found += _toolkit(interpreter, newest)
    return found


def _toolkit(interpreter: Interpreter, newest: tuple[int, int]) -> list[Finding]:
    torch = interpreter.version("torch")
    if not torch:
        return []
    if not interpreter.cuda:
        return [Finding(
            "warning", AREA, f"torch {torch} in {interpreter.path} is a build without CUDA",
            "models load on the CPU though there is a GPU",
            f"{interpreter.path} -m pip install --force-reinstall torch",
            package="torch",
        )]  # fmt: skip
    major = int(interpreter.cuda.partition(".")[0] or 0)
    # Within a major version a driver runs every toolkit: NVIDIA's "CUDA minor version compatibility".
    if major > newest[0]:
        return [Finding(
            "problem", AREA,
            f"torch {torch} in {interpreter.path} was built for CUDA {interpreter.cuda}; "
            f"the driver supports CUDA {newest[0]}.{newest[1]}",
            "its first use of the GPU fails: gpu_unavailable", "install a newer driver, or a torch for an older one",
            package="torch",
        )]  # fmt: skip
    return [fine(AREA, f"torch {torch} was built for CUDA {interpreter.cuda}, which the driver supports")]


def _without(interpreters: Sequence[Interpreter], why: str) -> list[Finding]:
    found = [fine(AREA, why)]
    for interpreter in interpreters:
        if interpreter.cuda:
            found.append(Finding(
                "warning", AREA,
                f"torch {interpreter.version('torch')} in {interpreter.path} is built for CUDA {interpreter.cuda}, "
                "and there is no GPU here",
                "code that asks for cuda fails: gpu_unavailable; the build takes gigabytes more than one for the CPU",
                "docker: --gpus all; Kubernetes: resources.limits nvidia.com/gpu; or load on the CPU", package="torch",
            ))  # fmt: skip
    return found
