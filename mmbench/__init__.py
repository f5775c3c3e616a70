"""mmbench: a reproducible benchmark for multimodal, multitask diffusion models."""

__version__ = "0.1.0"
