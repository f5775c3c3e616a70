"""Masking: an image and its masked copy."""
