"""Figures and images: charts, themes, hover texts and grids."""
