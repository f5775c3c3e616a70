"""Segmentation: an image and its class map."""
