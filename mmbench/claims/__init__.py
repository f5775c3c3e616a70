"""What the papers claim, held against results: a claim is a checkable expression, its verdict is computed.

`statements` reads config/claims.yaml, whose expressions `language` parses; `evidence` takes numbers for them from the
results, `verdicts` says what they make of a claim, and `power` how many seeds would decide an open one.
"""
