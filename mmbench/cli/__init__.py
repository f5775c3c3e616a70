"""The command `mmbench`: a module for each of its commands, and their common functions."""
