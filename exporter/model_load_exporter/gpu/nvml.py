"""Reading the GPUs by NVML, through nvidia-ml-py (module `pynvml`), which is loaded only where the library is.

A driver that hangs hangs the call: whoever reads does so on a thread that nobody has to wait for. One instance is used
by one thread at a time.
"""

import ctypes
import logging
from collections import Counter
from importlib import import_module
from typing import Any

from model_load_exporter.gpu.card import Card, Reading, address

logger = logging.getLogger(__name__)

LIBRARY = "libnvidia-ml.so.1"

THROTTLES = {
    "sw_power_cap": 0x4,
    "hw_slowdown": 0x8,
    "sync_boost": 0x10,
    "sw_thermal": 0x20,
    "hw_thermal": 0x40,
    "hw_power_brake": 0x80,
}
"""Label `cause` -> bit of NVML's clocks event reasons. Idle clocks and those an administrator set are no throttling."""

_ECC_KINDS = {"corrected": 0, "uncorrected": 1}
_ECC_AGGREGATE = 1
_XID_EVENT = 0x8
_MAX_EVENTS = 1000


class NoGpu(Exception):  # noqa: N818 - no error: this host has none
    """This host has no GPU that NVML could tell of; the message says why."""


class Nvml:
    """The driver's answers. It is asked anew with each `read`; only the session with it is kept."""

    def __init__(self) -> None:
        self.xids: Counter[tuple[str, int]] = Counter()
        self._nvml: Any = None
        self._events: Any = None
        self._addresses: dict[int, str] = {}
        self._lost: tuple[str, ...] = ()

    @property
    def watching(self) -> bool:
        """True where the driver tells of Xid errors as they come."""
        return self._events is not None

    def read(self) -> Reading:
        """Every GPU that answers. `xids` then has the Xid errors seen so far, by (address, number).

        Raises NoGpu; NVMLError where the driver refuses, for a mismatch of versions for one.
        """
        nvml = self._session()
        try:
            reading = self._read(nvml)
        except nvml.NVMLError as error:
            # A driver that was loaded anew knows nothing of the old session: the next read begins another.
            self._end(nvml)
            if isinstance(error, (nvml.NVMLError_DriverNotLoaded, nvml.NVMLError_NoPermission)):
                raise NoGpu(f"the NVIDIA driver does not answer: {error}") from None
            raise
        if not reading.cards and not reading.lost:
            raise NoGpu("the NVIDIA driver knows no GPU")
        if reading.lost != self._lost:
            self._lost = reading.lost
            if reading.lost:
                logger.warning("GPU %s fell off the bus; its series are gone", ", ".join(reading.lost))
        return reading

    def cuda_version(self) -> tuple[int, int]:
        """The newest CUDA that the driver supports: (major, minor). After a `read`. Raises NVMLError."""
        number = int(self._session().nvmlSystemGetCudaDriverVersion())
        return number // 1000, number % 1000 // 10

    def _session(self) -> Any:
        if self._nvml is not None:
            return self._nvml
        try:
            # Cheaper than importing pynvml on every host that has no GPU.
            ctypes.CDLL(LIBRARY)
        except OSError:
            raise NoGpu(f"no NVIDIA driver here: {LIBRARY} is not found") from None
        try:
            nvml: Any = import_module("pynvml")
        except ImportError:
            raise NoGpu("the package nvidia-ml-py is not installed: pip install nvidia-ml-py") from None
        try:
            nvml.nvmlInit()
        except (nvml.NVMLError_DriverNotLoaded, nvml.NVMLError_NoPermission, nvml.NVMLError_LibraryNotFound) as error:
            raise NoGpu(f"the NVIDIA driver does not answer: {error}") from None
        self._nvml = nvml
        self._watch(nvml)
        return nvml

    def _watch(self, nvml: Any) -> None:
        """Asks to be told of Xid errors; a card or driver that cannot is left out."""
        try:
            self._events = nvml.nvmlEventSetCreate()
            for index in range(nvml.nvmlDeviceGetCount()):
                try:
                    nvml.nvmlDeviceRegisterEvents(nvml.nvmlDeviceGetHandleByIndex(index), _XID_EVENT, self._events)
                except nvml.NVMLError as error:
                    logger.debug("no events of GPU %d: %s", index, error)
        except nvml.NVMLError as error:
            logger.debug("no GPU events: %s", error)
            self._events = None

    def _end(self, nvml: Any) -> None:
        self._nvml = self._events = None
        try:
            nvml.nvmlShutdown()
        except nvml.NVMLError as error:
            logger.debug("nvmlShutdown: %s", error)

    def _read(self, nvml: Any) -> Reading:
        driver = _text(nvml.nvmlSystemGetDriverVersion())
        cards, lost = [], []
        for index in range(nvml.nvmlDeviceGetCount()):
            try:
                cards.append(self._card(nvml, index))
            except nvml.NVMLError_GpuIsLost:
                lost.append(str(index))
        self._take_events(nvml)
        return Reading(driver, tuple(cards), tuple(lost))

    def _card(self, nvml: Any, index: int) -> Card:
        device = nvml.nvmlDeviceGetHandleByIndex(index)
        ask = _Asker(nvml, device)
        memory = ask("nvmlDeviceGetMemoryInfo")
        rates = ask("nvmlDeviceGetUtilizationRates")
        where = address(_text(nvml.nvmlDeviceGetPciInfo(device).busId))
        self._addresses[index] = where
        ecc = {kind: ask("nvmlDeviceGetTotalEccErrors", number, _ECC_AGGREGATE) for kind, number in _ECC_KINDS.items()}
        return Card(
            gpu=str(index),
            uuid=_text(ask("nvmlDeviceGetUUID") or ""),
            name=_text(ask("nvmlDeviceGetName") or ""),
            address=where,
            memory_size=memory.total if memory is not None else None,
            memory_used=memory.used if memory is not None else None,
            memory_free=memory.free if memory is not None else None,
            utilization=rates.gpu / 100 if rates is not None else None,
            temperature=ask("nvmlDeviceGetTemperature", 0),
            ecc={kind: count for kind, count in ecc.items() if count is not None},
            throttled=_throttled(ask),
            processes=_processes(ask),
        )

    def _take_events(self, nvml: Any) -> None:
        for _ in range(_MAX_EVENTS if self._events is not None else 0):
            try:
                event = nvml.nvmlEventSetWait_v2(self._events, 0)
                if event.eventType == _XID_EVENT:
                    where = self._addresses.get(nvml.nvmlDeviceGetIndex(event.device), "")
                    self.xids[where, int(event.eventData)] += 1
            except nvml.NVMLError as error:
                if not isinstance(error, nvml.NVMLError_Timeout):
                    logger.debug("GPU events: %s", error)
                return


class _Asker:
    """Asks one card for one value after another; None for what it does not tell."""

    def __init__(self, nvml: Any, device: Any) -> None:
        self._nvml, self._device = nvml, device

    def __call__(self, function: str, *arguments: Any) -> Any:
        """The answer. Raises GpuIsLost, and what means that the whole driver is gone."""
        nvml = self._nvml
        try:
            return getattr(nvml, function)(self._device, *arguments)
        except (nvml.NVMLError_GpuIsLost, nvml.NVMLError_Uninitialized, nvml.NVMLError_DriverNotLoaded):
            raise
        except nvml.NVMLError as error:
            logger.debug("%s: %s", function, error)
            return None


def _throttled(ask: _Asker) -> dict[str, bool]:
    reasons = ask("nvmlDeviceGetCurrentClocksEventReasons")
    if reasons is None:  # drivers before 535 know it by its old name
        reasons = ask("nvmlDeviceGetCurrentClocksThrottleReasons")
    return {cause: bool(reasons & bit) for cause, bit in THROTTLES.items()} if reasons is not None else {}


def _processes(ask: _Asker) -> dict[int, int]:
    """Bytes by pid; without the processes whose memory the driver does not tell (MIG, containers, WSL)."""
    found: dict[int, int] = {}
    for process in ask("nvmlDeviceGetComputeRunningProcesses") or ():
        if process.usedGpuMemory is not None:
            found[process.pid] = found.get(process.pid, 0) + process.usedGpuMemory
    return found


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
