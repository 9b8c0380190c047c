"""A Record that cannot be is refused with a clear text."""

import msgpack
import pytest

from moesifasgi.event.fields import check_fields
from moesifasgi.event.record import Ending, Record


def test_a_record_passes_before_and_after_the_wire(record):
    check_fields(record._replace(ending=Ending.FAILED))
    check_fields(Record.from_wire(msgpack.unpackb(msgpack.packb(record))))


@pytest.mark.parametrize("field", Record._fields)
def test_a_field_of_another_type_is_named(record, field):
    with pytest.raises(ValueError, match=field):
        check_fields(record._replace(**{field: {1, 2}}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", True),
        ("weight", True),
        ("weight", 0),
        ("weight", -1),
        ("direction", "Sideways"),
        ("ending", 9),
        ("status", None),
        ("transaction_id", ""),
        ("client", ["h"]),
        ("client", [1, 2]),
        ("client", []),
        ("server", ["h", 1.5]),
        ("request_complete", 1),
        ("started_at", True),
    ],
)
def test_a_value_that_cannot_be_is_named(record, field, value):
    with pytest.raises(ValueError, match=field):
        check_fields(record._replace(**{field: value}))
