"""A cable between clients and a server that can be made to break at a chosen moment."""

import contextlib
import socket
import threading


class Wire:
    """Passes bytes on, until a client's message contains ``break_at``.

    Attributes:
        break_at: the cable breaks once, at the next message that contains this.
        deliver: whether that message still reaches the server. The server's answer never arrives, and its end stays
            open: it does not know that its client has gone.
    """

    def __init__(self, port):
        self.break_at, self.deliver = None, True
        self._server_port = port
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        self._ends = [self._door]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        for end in self._ends:
            end.close()

    def _accept(self):
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._door.accept()
                server = socket.create_connection(("127.0.0.1", self._server_port))
                self._ends += [client, server]
                threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()
                threading.Thread(target=self._pass_back, args=(server, client), daemon=True).start()

    def _pass_on(self, client, server):
        with contextlib.suppress(OSError):
            while message := client.recv(65536):
                if self.break_at is not None and self.break_at in message:
                    self.break_at = None
                    client.shutdown(socket.SHUT_RDWR)
                    if self.deliver:
                        server.sendall(message)
                    return
                server.sendall(message)
            server.shutdown(socket.SHUT_WR)

    def _pass_back(self, server, client):
        with contextlib.suppress(OSError):
            while answer := server.recv(65536):
                client.sendall(answer)
            client.shutdown(socket.SHUT_RDWR)
