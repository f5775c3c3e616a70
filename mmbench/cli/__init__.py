"""The command `mmbench`: a module for each command that is not a stage of the workflow."""
