"""What makes the documentation site of the project's own files; `make docs` runs it.

    python -m docs._ext docs/_build               write the site's sources there, for Sphinx
    python -m docs._ext.built docs/_build/html    does every link of the site lead somewhere?

Nothing here needs Sphinx but `listings.py` and `docstrings.py`, which Sphinx itself imports.
"""
