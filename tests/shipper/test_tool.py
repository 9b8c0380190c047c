"""What a tool makes of a shipper's answers."""

import threading
from pathlib import Path

import pytest

from moesifasgi.shipper import tool
from moesifasgi.unix_socket import connected, listening
from moesifasgi.wire.codec import encode
from moesifasgi.wire.frame import frame
from moesifasgi.wire.messages import Refused


def test_a_tool_that_is_refused_before_it_has_asked_learns_why(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T10."""
    path, refused = short_dir / "s.sock", threading.Event()

    def connected_late(path: Path, timeout_s: float):
        made = connected(path, timeout_s)
        assert refused.wait(5.0)
        return made

    def refuse() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.sendall(frame(encode(Refused("user id 5 is not allowed"))))
        refused.set()

    monkeypatch.setattr(tool, "connected", connected_late)
    with listening(path, 0o600) as listener:
        listener.settimeout(5.0)
        refusing = threading.Thread(target=refuse)
        refusing.start()
        with pytest.raises(tool.NoShipper, match="user id 5 is not allowed"):
            tool.ask_status(path)
        refusing.join()
