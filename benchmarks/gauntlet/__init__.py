"""The gauntlet: what users are really hurt by, asked of Interlock and of its peers from outside.

    python -m benchmarks.gauntlet [--rows NAME …] [--contenders NAME …] [--json FILE]

Each row meets a server process of its own, started as its manual says and on its default settings
but for the port and 4 worker threads. `make gauntlet` installs the peers and runs all of it.
"""
