"""Each row of docs/outgoing-calls.md, with each library: each cell is what the page says."""

import asyncio
from pathlib import Path

import pytest
from outgoing_calls.clients import CLIENTS, Client
from outgoing_calls.features import FEATURES, Feature
from outgoing_calls.page import page
from outgoing_calls.scene import Scene

PAGE = Path(__file__).parents[2] / "docs" / "outgoing-calls.md"


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_the_library_does_what_the_page_says(feature: Feature, client: Client, scene: Scene) -> None:
    instead = feature.instead.get(client.name)
    check = feature.check if instead is None else instead.check
    if check is not None:
        asyncio.run(check(client, scene))


def test_the_page_is_the_one_that_the_features_make() -> None:
    assert PAGE.read_text("utf-8") == page(), "python scripts/readme.py writes it"
