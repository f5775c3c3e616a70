"""The generator of toy_streets: a town, a street, light and a camera, rasterised with the class of every pixel."""
