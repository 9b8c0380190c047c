"""What the suite's own fixtures promise."""

import stat
import urllib.request


def test_a_short_directory_is_private_empty_and_short(short_dir):
    assert stat.S_IMODE(short_dir.stat().st_mode) == 0o700
    assert list(short_dir.iterdir()) == []
    assert len(str(short_dir)) < 30


def test_the_collector_answers_and_has_nothing_yet(collector):
    request = urllib.request.Request(
        f"{collector.url}/v1/config", headers={"X-Moesif-Application-Id": "a" * 50}
    )
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200
    assert collector.store.applications() == []
