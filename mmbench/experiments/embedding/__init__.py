"""Embedding: an image and what a frozen network says of it."""
