"""The grammar of RFC 9112, RFC 9110 and RFC 3986, one pattern per ABNF rule, the rule quoted above
it.

Patterns match latin-1 text, in which one character is one byte: a head is decoded once, as a
whole, and nothing below it touches bytes again. A repetition of one character's class is
possessive (`++`, `*+`): it never goes back. One of a group is not: Python 3.11.2, which Debian 12
has, matches possessive groups wrongly, and took chunk extensions that are none. Each turn of such
a group begins with a character that the one before cannot end in, so that going back drops whole
turns, each once: the time stays linear in the length.

Where a pattern takes less than its rule, or more, a comment beginning "Deviation" argues it. The
drift is always the same way: what two parsers could read differently is refused.
"""

from __future__ import annotations

import re
from typing import Final

METHOD_BYTES_MAX: Final = 32
"""RFC 9112 section 3 asks 501 for "a method longer than any that it implements". IANA's longest
has 17 bytes (UPDATEREDIRECTREF); 32 leaves room for the private ones of an application behind us.
"""

LENGTH_DIGITS_MAX: Final = 18
"""Digits of a Content-Length. Eighteen always fit a signed 64-bit integer, so that no reader
beside us overflows.
"""

CHUNK_SIZE_DIGITS_MAX: Final = 15
"""Hexadecimal digits of a chunk-size. Fifteen always fit a signed 64-bit integer. RFC 9112 section
7.1 asks to "anticipate potentially large hexadecimal numerals"; leading zeros past this are a
disguise, not a size.
"""

# tchar = "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "." / "^" / "_" / "`" / "|" / "~" /
# DIGIT / ALPHA
_TCHAR: Final = r"!#$%&'*+\-.^_`|~0-9A-Za-z"

# token = 1*tchar                                                                  (RFC 9110 5.6.2)
_TOKEN: Final = rf"[{_TCHAR}]++"
TOKEN: Final = re.compile(_TOKEN)

# VCHAR = %x21-7E                                                                    (RFC 5234 B.1)
NOT_VCHAR: Final = re.compile(r"[^\x21-\x7e]")
NOT_TCHAR: Final = re.compile(rf"[^{_TCHAR}]")

# field-value = *field-content ; field-content = field-vchar [ 1*( SP / HTAB / field-vchar )
# field-vchar ]
# field-vchar = VCHAR / obs-text ; obs-text = %x80-FF                                (RFC 9110 5.5)
# The OWS of field-line is matched with it and stripped later, which is the same set of lines.
_FIELD_VALUE: Final = r"[\t\x20-\x7e\x80-\xff]*+"
FIELD_VALUE: Final = re.compile(_FIELD_VALUE)
NOT_FIELD_VALUE: Final = re.compile(r"[^\t\x20-\x7e\x80-\xff]")

# field-line = field-name ":" OWS field-value OWS ; field-name = token                 (RFC 9112 5)
# Deviation: obs-fold is not taken (RFC 9112 5.2 lets a server refuse it), so that a field line is
# one line.
_FIELD_LINE: Final = rf"{_TOKEN}:{_FIELD_VALUE}"
FIELD_LINE: Final = re.compile(_FIELD_LINE)

# The same rule with its parts as groups, for a section that FIELD_LINE has matched already.
FIELD_LINE_PARTS: Final = re.compile(r"([^:]++):[ \t]*+([^\r]*+)\r\n")

# request-line = method SP request-target SP HTTP-version                              (RFC 9112 3)
# Deviation: exactly one SP. RFC 9112 3 lets a server split on any whitespace; lenient splitting is
# how two parsers come to disagree about one request.
_METHOD: Final = rf"[{_TCHAR}]{{1,{METHOD_BYTES_MAX}}}+"
_REQUEST_TARGET: Final = r"[\x21-\x7e]++"

# HTTP-version = HTTP-name "/" DIGIT "." DIGIT ; HTTP-name = %s"HTTP"                (RFC 9112 2.3)
HTTP_VERSION: Final = re.compile(r"HTTP/([0-9])\.([0-9])")

# The beginning of a request line, for one whose request was refused or is not whole. A line that
# has ended must have ended well: nobody knows which method any other one meant.
REQUEST_LINE_START: Final = re.compile(
    rf"({_METHOD}) ({_REQUEST_TARGET})(?: HTTP/1\.([0-9])\r\n|[^\r\n]*+\r?\Z)"
)

# HTTP-message = start-line CRLF *( field-line CRLF ) CRLF [ message-body ]          (RFC 9112 2.1)
# The head of a request of major version 1: method, target, minor version, header section.
# Deviation: a line ends in CRLF. RFC 9112 2.2 lets a recipient take a bare LF; one that does and
# one that does not see two different messages.
# The same in two, its line end between them: no byte of a request line is a CR.
_REQUEST_LINE: Final = rf"({_METHOD}) ({_REQUEST_TARGET}) HTTP/1\.([0-9])"
_SECTION: Final = rf"((?:{_FIELD_LINE}\r\n)*)\r\n"
HEAD: Final = re.compile(rf"{_REQUEST_LINE}\r\n{_SECTION}")
REQUEST_LINE: Final = re.compile(_REQUEST_LINE)
SECTION: Final = re.compile(_SECTION)

# Content-Length = 1*DIGIT                                                           (RFC 9110 8.6)
# Deviation: bounded, and never a list. RFC 9110 8.6 lets a recipient take "42, 42" for 42; nobody
# has to send that.
CONTENT_LENGTH: Final = re.compile(rf"[0-9]{{1,{LENGTH_DIGITS_MAX}}}+")

# transfer-coding = token *( OWS ";" OWS transfer-parameter )                          (RFC 9112 7)
# transfer-parameter = token BWS "=" BWS ( token / quoted-string )
# quoted-string = DQUOTE *( qdtext / quoted-pair ) DQUOTE                          (RFC 9110 5.6.4)
# qdtext = HTAB / SP / %x21 / %x23-5B / %x5D-7E / obs-text ; quoted-pair = "\" ( HTAB / SP / VCHAR
# / obs-text )
_QUOTED_STRING: Final = r'"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]++|\\[\t\x20-\x7e\x80-\xff])*"'
_WORD: Final = rf"(?:{_TOKEN}|{_QUOTED_STRING})"
_BWS: Final = r"[ \t]*+"
TRANSFER_CODING: Final = re.compile(rf"({_TOKEN})((?:{_BWS};{_BWS}{_TOKEN}{_BWS}={_BWS}{_WORD})*)")

# chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF ; chunk-size = 1*HEXDIG      (RFC 9112 7.1)
# chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )        (RFC 9112 7.1.1)
CHUNK_LINE: Final = re.compile(
    rf"([0-9A-Fa-f]{{1,{CHUNK_SIZE_DIGITS_MAX}}}+)"
    rf"((?:{_BWS};{_BWS}{_TOKEN}(?:{_BWS}={_BWS}{_WORD})?)*)"
)
CHUNK_SIZE: Final = re.compile(r"[0-9A-Fa-f]++")

# pchar = unreserved / pct-encoded / sub-delims / ":" / "@"                          (RFC 3986 3.3)
# absolute-path = 1*( "/" segment ) ; segment = *pchar                               (RFC 9110 4.1)
# Deviation: "[", "]", "|" and "^" too, which browsers leave as they are in a path (WHATWG URL,
# path percent-encode set). "%" must be followed by two HEXDIG: decoders do not agree on what
# anything else means.
_UNRESERVED: Final = r"A-Za-z0-9\-._~"
_SUB_DELIMS: Final = r"!$&'()*+,;="
_PCT_ENCODED: Final = r"%[0-9A-Fa-f]{2}"
_ABSOLUTE_PATH: Final = rf"/(?:[{_UNRESERVED}{_SUB_DELIMS}:@/|^\[\]]++|{_PCT_ENCODED})*"

# query = *( pchar / "/" / "?" )                                                     (RFC 3986 3.4)
# Deviation: also the characters that browsers leave as they are in a query, and a "%" before
# anything: "?q=100%" is what they send, and no part of this server decodes a query to find a file.
_QUERY: Final = rf"[{_UNRESERVED}{_SUB_DELIMS}:@/?%|^\[\]\\`{{}}]*+"

# origin-form = absolute-path [ "?" query ]                                        (RFC 9112 3.2.1)
ORIGIN_FORM: Final = re.compile(rf"({_ABSOLUTE_PATH})(?:\?({_QUERY}))?")

# absolute-form = absolute-URI ; absolute-URI = scheme ":" hier-part [ "?" query ] (RFC 9112 3.2.2)
# Deviation: hier-part has an authority; the schemes that name no host are nothing that a server
# could be asked for.
ABSOLUTE_FORM: Final = re.compile(
    rf"([A-Za-z][A-Za-z0-9+\-.]*+)://([^/?#]*+)({_ABSOLUTE_PATH})?(?:\?({_QUERY}))?"
)

# IPv6address = 6( h16 ":" ) ls32 / "::" 5( h16 ":" ) ls32 / [ h16 ] "::" 4( h16 ":" ) ls32 / …
# (nine alternatives)
# h16 = 1*4HEXDIG ; ls32 = ( h16 ":" h16 ) / IPv4address                           (RFC 3986 3.2.2)
_H16: Final = r"[0-9A-Fa-f]{1,4}"
_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4: Final = rf"(?:{_OCTET}\.){{3}}{_OCTET}"
_LS32: Final = rf"(?:{_H16}:{_H16}|{_IPV4})"
_IPV6: Final = "|".join(
    [
        rf"(?:{_H16}:){{6}}{_LS32}",
        rf"::(?:{_H16}:){{5}}{_LS32}",
        rf"(?:{_H16})?::(?:{_H16}:){{4}}{_LS32}",
        rf"(?:(?:{_H16}:){{0,1}}{_H16})?::(?:{_H16}:){{3}}{_LS32}",
        rf"(?:(?:{_H16}:){{0,2}}{_H16})?::(?:{_H16}:){{2}}{_LS32}",
        rf"(?:(?:{_H16}:){{0,3}}{_H16})?::{_H16}:{_LS32}",
        rf"(?:(?:{_H16}:){{0,4}}{_H16})?::{_LS32}",
        rf"(?:(?:{_H16}:){{0,5}}{_H16})?::{_H16}",
        rf"(?:(?:{_H16}:){{0,6}}{_H16})?::",
    ]
)
# IPvFuture = "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" )
_IPVFUTURE: Final = rf"[Vv][0-9A-Fa-f]++\.[{_UNRESERVED}{_SUB_DELIMS}:]++"

# uri-host = IP-literal / IPv4address / reg-name ; reg-name = *( unreserved / pct-encoded /
# sub-delims ) Every IPv4address is a reg-name as well, so that two alternatives suffice.
_URI_HOST: Final = (
    rf"(?:(?:[{_UNRESERVED}{_SUB_DELIMS}]++|{_PCT_ENCODED})*|\[(?:{_IPV6}|{_IPVFUTURE})\])"
)

# Host = uri-host [ ":" port ] ; port = *DIGIT                                       (RFC 9110 7.2)
# Deviation: at most five digits; target.py holds them below 65536.
# Without `*+` around the alternatives of IPv6address: they go back, over eight groups at most.
HOST: Final = re.compile(rf"({_URI_HOST})(?::([0-9]{{0,5}}))?")
