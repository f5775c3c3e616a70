"""Figures and pictures: charts, themes, hover texts and grids."""
