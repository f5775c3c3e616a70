"""The claims of the papers, tested on results: a claim is a checkable expression, and its verdict is computed.

`statements` reads config/claims.yaml, whose expressions `language` parses. `evidence` takes the numbers that they name
from the results, `verdicts` computes the verdicts, and `power` computes how many seeds would decide an open claim.
"""
