"""What the NVIDIA driver tells of the host's GPUs, by NVML. Nothing here is imported before a collector asks."""
