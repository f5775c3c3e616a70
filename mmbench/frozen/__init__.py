"""Networks that are never trained here, and judges, which are trained once: feature extractors, LPIPS, embedders."""
