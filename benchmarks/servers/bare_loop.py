"""The limit of one Python thread: epoll, recv, send, and no look at what was received."""

from __future__ import annotations

import select
import socket
import sys

CONTENT = b"<h1>hello</h1>\n" * 14
ANSWER = (
    b"HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 06:46:00 GMT\r\nServer: bare\r\n"
    b"Content-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(CONTENT)
) + CONTENT

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
        try:
            if peers[descriptor].recv(65_536):
                peers[descriptor].send(ANSWER)
                continue
        except OSError:
            pass
        poll.unregister(descriptor)
        peers.pop(descriptor).close()
