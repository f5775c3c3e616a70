"""The stages of the workflow, one file each with the name of its rule: `python -m mmbench.stages.<rule>`.

A stage reads its command line, loads and checks the inputs, computes, and writes the results. The function that
computes takes values, so that a program can call it too.
"""
