"""The stages of the workflow, a file each, named as its rule: `python -m mmbench.stages.<rule>`."""
