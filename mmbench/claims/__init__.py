"""Claims as checkable expressions over results, and the verdict that the numbers give.

`expression` reads what config/claims.yaml compares, `read` the whole file, `assess` evaluates a claim for each training
seed and `decide` turns the seeds into a verdict. Nothing here reads results or knows a method by name.
"""
