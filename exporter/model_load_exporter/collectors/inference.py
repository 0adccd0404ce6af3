"""Inferences that services record: how many, how long, how many failed. A slice a {target, model}."""

from collections.abc import Hashable, Iterable
from itertools import accumulate

from prometheus_client import Metric

from model_load_exporter.collectors.base import counter, gauge
from model_load_exporter.collectors.recorded import RecordedCollector
from model_load_exporter.inference import INFERENCE_BUCKETS
from model_load_exporter.loads import Key


class InferenceCollector(RecordedCollector):
    """Inferences of the models that are held, and so may serve, or that served. Reads the recorder's state only."""

    name = "inference"

    def slices(self) -> Iterable[tuple[Hashable, Hashable]]:
        """Each {target, model} that has samples."""
        loads = self._loads
        with loads.lock:
            held = self._held()
            return [
                (key, (loads.tallies[key].inferences, loads.tallies[key].inference_time))
                for key in loads.known()
                if key in held or loads.tallies[key].inferences
            ]

    def _families(self, key: Key, labels: dict[str, str]) -> Iterable[Metric]:
        with self._loads.lock:
            tally = self._loads.tallies[key]
            count, failures, seconds = tally.inferences, tally.inference_failures, tally.inference_seconds
            buckets, last = list(tally.inference_buckets), tally.inference_time
            serves = count > 0 or key in self._held()
        total = counter("model_inference", "Inferences that the service recorded, failed ones too.")
        failed = counter("model_inference_failures", "Inferences that failed.")
        duration = Metric("model_inference_duration_seconds", "Duration of inferences.", "histogram")
        when = gauge("model_inference_timestamp_seconds", "When the model last served; 0 = never.")
        if serves:
            total.add_sample("model_inference_total", labels, count)
            failed.add_sample("model_inference_failures_total", labels, failures)
            for bound, number in zip((*map(float, INFERENCE_BUCKETS), "+Inf"), accumulate(buckets), strict=True):
                duration.add_sample(f"{duration.name}_bucket", {**labels, "le": str(bound)}, number)
            duration.add_sample(f"{duration.name}_count", labels, count)
            duration.add_sample(f"{duration.name}_sum", labels, seconds)
            when.add_sample(when.name, labels, last)
        return [total, failed, duration, when]

    def _held(self) -> set[Key]:
        return {held.key for rows in self._loads.held.values() for held in rows}
