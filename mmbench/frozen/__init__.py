"""Frozen networks: feature extractors, LPIPS and embedders, which are never trained here, and judges, trained once."""
