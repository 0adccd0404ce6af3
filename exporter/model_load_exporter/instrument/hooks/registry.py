"""The hooks by name, which is their file's too, and the modules that each waits for: where the functions are."""

HOOKS: dict[str, tuple[str, ...]] = {
    "torch": ("torch.serialization",),
    "safetensors": ("safetensors.torch",),
    "transformers": (
        "transformers.modeling_utils",
        "transformers.models.auto.auto_factory",
        "transformers.models.auto.configuration_auto",
        "transformers.models.auto.processing_auto",
        "transformers.models.auto.tokenization_auto",
        "transformers.configuration_utils",
        "transformers.tokenization_utils_base",
        "transformers.processing_utils",
        "transformers.pipelines",
    ),
    "sentence_transformers": (
        "sentence_transformers.sentence_transformer.model",
        "sentence_transformers.cross_encoder.model",
        "sentence_transformers.SentenceTransformer",
        "sentence_transformers.cross_encoder.CrossEncoder",
    ),
    "diffusers": (
        "diffusers.pipelines.pipeline_utils",
        "diffusers.pipelines.auto_pipeline",
        "diffusers.models.modeling_utils",
    ),
    "onnxruntime": ("onnxruntime.capi.onnxruntime_inference_collection",),
    "tflite": ("ai_edge_litert.interpreter", "tflite_runtime.interpreter", "tensorflow.lite.python.interpreter"),
    "joblib": ("joblib.numpy_pickle",),
    "huggingface_hub": ("huggingface_hub.file_download", "huggingface_hub._snapshot_download"),
    "vllm": ("vllm.model_executor.model_loader.base_loader",),
    "multiprocessing": ("multiprocessing.spawn",),
}
