"""How inferences are counted, by the service that makes them and by the exporter that shows them."""

INFERENCE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Upper bounds of model_inference_duration_seconds, in seconds; the journal's event `inference` counts by them."""
