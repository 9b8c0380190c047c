from uuid import RFC_4122, UUID

from moesifasgi.transaction_id import new_transaction_id


def test_an_id_is_a_random_uuid_in_its_usual_form():
    for _ in range(500):
        text = new_transaction_id()
        parsed = UUID(text)
        assert str(parsed) == text
        assert (parsed.version, parsed.variant) == (4, RFC_4122)


def test_ids_differ():
    assert len({new_transaction_id() for _ in range(10_000)}) == 10_000
