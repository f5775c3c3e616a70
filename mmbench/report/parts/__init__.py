"""The parts of a page that several experiments share, and those of the whole page."""
