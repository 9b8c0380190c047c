"""The user's id from an authorization header."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moesifasgi.event.identity import user_id_from


def unpadded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def jwt(claims: object) -> str:
    return f"{unpadded(b'{}')}.{unpadded(json.dumps(claims).encode())}.c2ln"


def user(value: str, field: str = "sub", name: str = "authorization") -> str | None:
    return user_id_from({name: value}, (name,), field)


@pytest.mark.parametrize("subject", ["a", "ab", "abc", "~~~???>>>", "é", "user-1"])
@pytest.mark.parametrize("scheme", ["Bearer ", "bearer  ", "JWT ", "Token ", ""])
def test_the_subject_of_a_jwt_is_the_user(scheme, subject):
    """A15: a payload whose base64 holds ``-`` or ``_`` or lacks its padding gave no user."""
    assert user(scheme + jwt({"sub": subject})) == subject


@pytest.mark.parametrize(
    "value", ["Basic YW5u!Og==", "Basic YW5u Og==", "Basic YW5uOg==YQ==", "Basic YW=uOg"]
)
def test_what_is_no_base64_names_nobody(value):
    """A15: a decoder that leaves out what it does not know makes a name of anything."""
    assert user(value) is None


def test_a_payload_with_the_url_safe_alphabet_is_read():
    """A15: ``-`` and ``_`` were dropped before decoding."""
    token = jwt({"sub": "~~~???>>>ÿÿ"})
    padded = base64.b64encode('{"sub": "~~~???>>>ÿÿ"}'.encode()).decode()
    assert any(c in unpadded('{"sub": "~~~???>>>ÿÿ"}'.encode()) for c in "-_")
    assert user(f"Bearer {token}") == user(f"Bearer x.{padded}.y") == "~~~???>>>ÿÿ"


@pytest.mark.parametrize(
    ("claims", "field", "found"),
    [
        ({"Sub": 12}, "sub", "12"),
        ({"sub": 12.50}, "SUB", "12.5"),
        ({"user": {"account": {"id": 10**30}}}, "user.account.id", str(10**30)),
        ({"https://a.example/id": "x", "https://a": 1}, "https://a.example/id", "x"),
        ({"user": {"a.b": "x"}}, "user.a.b", "x"),
        ({"sub": "a", "SUB": "b"}, "sub", "a"),
        ({"sub": True}, "sub", None),
        ({"sub": None}, "sub", None),
        ({"sub": ["a"]}, "sub", None),
        ({"sub": ""}, "sub", None),
        ({"user": "x"}, "user.id", None),
        ({}, "sub", None),
        (["sub"], "sub", None),
        ({"sub": "\ud800x"}, "sub", "\ufffdx"),
        ({"sub": float("nan")}, "sub", None),
    ],
)
def test_a_claim_is_found_by_its_dotted_path_and_becomes_text(claims, field, found):
    assert user(f"Bearer {jwt(claims)}", field) == found


@pytest.mark.parametrize(
    ("credentials", "found"),
    [(b"ann:secret", "ann"), (b"ann", "ann"), (b":secret", None), ("é:x".encode(), "é"), (b"\xe9:x", "é")],
)
def test_the_user_name_of_basic_credentials_is_the_user(credentials, found):
    assert user(f"Basic {base64.b64encode(credentials).decode()}") == found


@pytest.mark.parametrize(
    "value", ["opaque", "Bearer opaque", "Basic !!!", "Digest a=b", "Bearer ", " ", "Bearer a.b.c"]
)
def test_an_authorization_that_names_nobody_gives_no_user(value):
    assert user(value) is None


@pytest.mark.parametrize("value", ["customer-7", "Ann Lee", "sk_live_4eC39HqLyjWDarjt", "org.example.ann"])
def test_a_raw_value_is_never_the_user_for_it_may_be_an_api_key(value):
    assert user(value, name="x-api-key") is None


def test_a_token_in_a_header_of_ones_own_is_read_and_never_the_user_itself():
    assert user(jwt({"sub": "ann"}), name="x-token") == "ann"
    assert user(jwt({"name": "ann"}), name="x-token") is None
    assert user("Bearer opaque", name="x-token") is None
    assert user("eyJhbGciOiJSU0EifQ.AAAA.BBBB.CCCC.DDDD", name="x-token") is None


def test_a_bare_payload_is_read_as_the_published_package_does():
    assert user(unpadded(b'{"sub":"ann"}')) == "ann"


def test_the_headers_are_tried_in_order_until_one_names_a_user():
    headers = {"authorization": f"Bearer {jwt({'sub': 'b'})}", "x-user": jwt({"sub": "a"}), "x-key": "opaque"}
    assert user_id_from(headers, ("x-absent", "x-key", "authorization", "x-user"), "sub") == "b"
    assert user_id_from(headers, ("x-user", "authorization"), "sub") == "a"


def test_the_first_of_joined_fields_counts():
    assert user(f"Bearer {jwt({'sub': 'a'})}, Bearer {jwt({'sub': 'b'})}") == "a"


def test_the_first_of_joined_credentials_counts():
    assert user("Basic YW5uOng=, Basic Ym9iOng=") == "ann"


@pytest.mark.parametrize(("characters", "named"), [(1000, True), (1001, False)])
def test_an_id_that_is_too_long_to_be_one_names_nobody(characters, named):
    headers = {"x-token": jwt({"sub": "a" * characters}), "authorization": jwt({"sub": "ann"})}
    found = user_id_from(headers, ("x-token", "authorization"), "sub")
    assert found == ("a" * characters if named else "ann")


def test_deeply_nested_claims_name_nobody():
    assert user(f"Bearer x.{unpadded(b'[' * 50_000)}.y") is None


SCHEMES = st.sampled_from(["", "Bearer ", "Basic ", "JWT ", "Bearer x."])
RAW = st.binary(max_size=40).map(lambda raw: raw.decode("latin-1"))


@given(SCHEMES, RAW | st.binary(max_size=40).map(unpadded), st.sampled_from(["authorization", "x-user"]))
def test_any_header_gives_a_text_or_nothing(scheme, value, name):
    found = user(scheme + value, name=name)
    assert found is None or (found and found.encode())
