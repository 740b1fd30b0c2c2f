"""A TCP proxy for the tests: what it lets through can be cut, stopped or answered in the server's place."""
import re
import select
import socket
import threading

from processes import SLOWNESS


class Proxy:
    """Listens on a port of its own, and passes on to `target`, a (host, port) that may change. `requests` are the heads' first lines.

    refuse: a function of a request's head (bytes), which returns an answer in place of the server's, or b"" to close; None: it goes through.
    """

    def __init__(self, target):
        self.target = target
        self.refuse = lambda head: None
        self.silent = False         # nothing is passed on, and nothing is closed
        self.mute = False           # nothing of the server's is passed on
        self.most = None            # bytes of the server's that a connection passes on before it is cut
        self.said = None            # a bytearray: what the server says is kept there, too
        self.hold = None            # a function of a request (bytes), and how much of its answer has passed: whether the rest has to wait
        self.rewrite = None         # a function: what comes of what the server says
        self.requests = []
        self.pairs = set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = "http://127.0.0.1:%d" % self.port
        self.ended = False
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def _accept(self):
        while not self.ended:
            if select.select([self.listener], [], [], 0.05)[0]:
                client = self.listener.accept()[0]
                thread = threading.Thread(target=self._serve, args=(client,))
                self.threads.append(thread)
                thread.start()

    def _head(self, client):
        head = b""
        client.settimeout(20 * SLOWNESS)
        while b"\r\n\r\n" not in head:
            data = client.recv(65536)
            if not data:
                return None
            head += data
        return head

    def _serve(self, client):
        pair = [client]
        self.pairs.add(client)
        try:
            head = self._head(client)
            if not head:
                return
            self.requests.append(re.match(rb"[^\r]*", head).group().decode())
            answer = self.refuse(head)
            if answer is not None:
                client.sendall(answer)
                return
            server = socket.create_connection(self.target)
            pair.append(server)
            self.pairs.add(server)
            server.sendall(head)
            self._pass(client, server, head)
        except OSError:
            pass
        finally:
            for end in pair:
                self.pairs.discard(end)
                end.close()

    def _pass(self, client, server, request):
        other, passed = {client: server, server: client}, 0
        while not self.ended:
            for end in select.select(list(other), [], [], 0.05)[0]:
                if self.silent or (self.hold and end is server and self.hold(request, passed)):
                    continue
                data = end.recv(65536 if self.most is None and self.hold is None else 1000)
                if not data:
                    return
                passed += len(data) if end is server else 0
                if end is server and self.said is not None:
                    self.said += data
                if end is server and self.rewrite is not None:
                    data = self.rewrite(data)
                if self.most is not None and passed > self.most:
                    return
                if end is client and data.startswith((b"GET ", b"POST ")):      # one more on the same connection
                    request, passed = data, 0
                if end is client or not self.mute:
                    other[end].sendall(data)

    def cut(self):
        """Ends all connections, without a goodbye."""
        for end in list(self.pairs):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.ended = True
        self.cut()
        for thread in self.threads:
            thread.join()
        self.listener.close()


def answer(status, *fields, body=b'{"error":"by the proxy"}'):
    """An answer of the proxy's own, after which it closes."""
    lines = ["HTTP/1.1 %d Some Reason" % status, "Content-Type: application/json", "Content-Length: %d" % len(body), "Connection: close"] + list(fields)
    return "\r\n".join(lines + ["", ""]).encode() + body
