"""The stages of the workflow, a file each, named as its rule: `python -m mmbench.stages.<rule>`.

A stage reads its command line, loads what that names, checks it, works, and writes. The function that works takes
values, so that a program can call it, too.
"""
