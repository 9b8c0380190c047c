"""A process that reads all that comes over a Unix socket and forgets it: the far end of the floor.

    python -m benchmarks.subjects.sink PATH

It answers each line of its input with ``{}``, the first once it listens, and leaves when the input ends.
"""

import socket
import sys
import threading


def read_all(listener: socket.socket) -> None:
    """Serve one peer after the other."""
    while True:
        peer, _ = listener.accept()
        with peer:
            while peer.recv(1 << 18):
                pass


def main(path: str) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    threading.Thread(target=read_all, args=(listener,), daemon=True).start()
    for _ in sys.stdin:
        print("{}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
