"""A14: uploads say who sends them, with a version."""

import re

import pytest
from lab.user_agents import ENDPOINTS, listening

from moesifasgi.version import VERSION


def test_every_request_to_the_collector_names_package_and_version(short_dir):
    """A14: the published package says moesifasgi-python/None, or the name of its HTTP library."""
    with listening() as collector:
        collector.hear_one_of_everything(short_dir)
    assert collector.heard == {endpoint: {f"moesifasgi/{VERSION}"} for endpoint in ENDPOINTS}
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", VERSION)


@pytest.mark.parametrize("suffix", ["shop/2", "shop/2 (eu)"])
def test_a_suffix_stands_behind_it(short_dir, suffix):
    with listening() as collector:
        collector.hear_one_of_everything(short_dir, USER_AGENT_SUFFIX=suffix)
    assert collector.heard == {endpoint: {f"moesifasgi/{VERSION} {suffix}"} for endpoint in ENDPOINTS}
