"""The kinds of scenes. Each world has copies of its own of these: `tests.interleavings.world`."""
