"""The limit of one Python thread: epoll, recv, send, and hardly a look at what was received.

    python benchmarks/servers/bare_loop.py PORT [CONTENT_BYTES]

A request has ended where what was received ends with an empty line, or with `!`, which the loads
put at the end of content. It waits for nobody but who reads slowly.
"""

from __future__ import annotations

import select
import socket
import sys

HELLO_BYTES = 210
SIZE = int(sys.argv[2]) if len(sys.argv) > 2 else HELLO_BYTES
CONTENT = (b"<h1>hello</h1>\n" * (SIZE // 15 + 1))[:SIZE]
HEAD = (
    b"HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 06:46:00 GMT\r\nServer: bare\r\n"
    b"Content-Type: text/html\r\nContent-Length: %d\r\n%s\r\n"
)
ANSWER = HEAD % (len(CONTENT), b"") + CONTENT
LAST_ANSWER = HEAD % (len(CONTENT), b"Connection: close\r\n") + CONTENT
CLOSE = b"\r\nConnection: close\r\n"
EMPTY_LINE = b"\r\n\r\n"

listening = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1024)
listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
poll = select.epoll()
poll.register(listening, select.EPOLLIN)
peers: dict[int, socket.socket] = {}
while True:
    for descriptor, _ in poll.poll():
        if descriptor == listening.fileno():
            peer, _ = listening.accept()
            peers[peer.fileno()] = peer
            poll.register(peer, select.EPOLLIN)
            continue
        peer = peers[descriptor]
        try:
            data = peer.recv(65_536)
            if data.endswith(EMPTY_LINE):
                if CLOSE not in data:
                    peer.sendall(ANSWER)
                    continue
                peer.sendall(LAST_ANSWER)
            elif data:
                if data.endswith(b"!"):
                    peer.sendall(ANSWER)
                continue
        except OSError:
            pass
        poll.unregister(descriptor)
        peers.pop(descriptor).close()
