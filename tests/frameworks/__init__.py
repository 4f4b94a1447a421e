"""Applications as people write them, on our server. The packages are the `test` extra's."""
