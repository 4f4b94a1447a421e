"""A file's media type, from the last suffix of its name (RFC 9110 8.3).

The table is the same on every machine: the standard library's own, without what it reads from the
system's files, and over it the types below, which differ between Python versions or are missing.
"""

from __future__ import annotations

import mimetypes
from typing import Final

UNKNOWN: Final = "application/octet-stream"

_MODERN: Final = {
    ".7z": "application/x-7z-compressed",
    ".apng": "image/apng",
    ".avif": "image/avif",
    ".br": "application/x-brotli",
    ".bz2": "application/x-bzip2",
    ".css": "text/css",
    ".csv": "text/csv",
    ".flac": "audio/flac",
    ".geojson": "application/geo+json",  # RFC 7946
    ".glb": "model/gltf-binary",
    ".gltf": "model/gltf+json",
    ".gz": "application/gzip",  # not a content coding: the file itself is what was asked for
    ".htm": "text/html",
    ".html": "text/html",
    ".ico": "image/vnd.microsoft.icon",
    ".ics": "text/calendar",  # RFC 5545
    ".js": "text/javascript",  # RFC 9239
    ".json": "application/json",
    ".jsonld": "application/ld+json",
    ".jxl": "image/jxl",
    ".log": "text/plain",
    ".m4a": "audio/mp4",
    ".map": "application/json",  # a source map: ECMA-426
    ".markdown": "text/markdown",
    ".md": "text/markdown",  # RFC 7763
    ".mjs": "text/javascript",
    ".mp4": "video/mp4",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".otf": "font/otf",  # RFC 8081
    ".pdf": "application/pdf",
    ".rst": "text/plain",
    ".rtf": "application/rtf",
    ".svg": "image/svg+xml",
    ".toml": "application/toml",
    ".ttf": "font/ttf",
    ".txt": "text/plain",
    ".vtt": "text/vtt",
    ".wasm": "application/wasm",  # a browser compiles it as it streams under this type only
    ".weba": "audio/webm",
    ".webm": "video/webm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xhtml": "application/xhtml+xml",
    ".xml": "text/xml",
    ".xz": "application/x-xz",
    ".yaml": "application/yaml",  # RFC 9512
    ".yml": "application/yaml",
    ".zip": "application/zip",
    ".zst": "application/zstd",
}


def _content_type(media_type: str) -> str:
    # Text without a charset is guessed at by browsers. JSON defines no charset parameter (RFC 8259
    # section 11), and XML, SVG among it, names its own encoding.
    if media_type.startswith("text/") and media_type != "text/xml":
        return f"{media_type}; charset=utf-8"
    return media_type


_TYPES: Final = {
    suffix: _content_type(media_type)
    for suffix, media_type in {**mimetypes.MimeTypes().types_map[True], **_MODERN}.items()
}


def content_type(name: str) -> str:
    """The Content-Type of a file called `name`; `application/octet-stream` where none is known."""
    _, dot, suffix = name.rpartition(".")
    return _TYPES.get(f".{suffix.lower()}", UNKNOWN) if dot else UNKNOWN
