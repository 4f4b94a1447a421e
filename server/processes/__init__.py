"""Several processes that serve one port, and the parent that keeps them: `--processes N`.

The parent (`parent.Parent`) binds the socket and serves nothing. It has one thread, and what it
takes from the system, processes, signals and time, is in one value (`world.World`). Each child
(`child`) is an ordinary server in a fresh interpreter, on the socket that it inherits; the two talk
over a channel (`channel`), and a child's counts lie in memory that both see (`board`).
"""
