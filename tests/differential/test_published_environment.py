"""The environment of the published package: whole or not there."""

import os

import pytest
from lab import published


@pytest.fixture
def directory(tmp_path, monkeypatch):
    made = tmp_path / "environment"
    monkeypatch.setattr(published, "DIRECTORY", made)
    return made


def test_without_the_package_index_the_reason_is_told_and_no_half_environment_is_used(directory, monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    # Nothing listens on port 1.
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_RETRIES", "0")
    for _ in range(2):
        with pytest.raises(published.NotInstallable, match="No matching distribution found for moesifasgi"):
            published.published_python()
    assert not (directory / published.STAMP).exists()
