"""Labels: an image and its class."""
