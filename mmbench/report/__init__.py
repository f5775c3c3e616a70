"""The report: reads result files, writes one self-contained page, tables and figures. Torch is loaded by pictures only.

`load` reads the tree, `board` compares, `tables`, `figures` and `pictures` draw, and each experiment has one module in
`sections` with one template of its name. A new experiment is those two new files.
"""
