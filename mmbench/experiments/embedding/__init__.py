"""Embedding: an image and its embedding by a frozen network."""
