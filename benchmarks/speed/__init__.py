"""Speed by scenario: Interlock beside other servers, in one run, in turns.

`python -m benchmarks.speed` runs it. The servers are those of `contenders`, what is measured of
them is in `scenarios`, `load` is what they are loaded with, and `report`, `chart` and `readme` show
what came.
"""
