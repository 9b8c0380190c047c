"""The daemon's configuration: three sources, every fault at once, no secret seen, a true example."""

import os
import pwd
import re
import tomllib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moesifasgi.errors import SettingsError
from moesifasgi.shared_shapes import Durability
from moesifasgi.shipper.configuration import load as loading
from moesifasgi.shipper.configuration.example import example
from moesifasgi.shipper.configuration.key import keys_of
from moesifasgi.shipper.configuration.load import Loaded, load
from moesifasgi.shipper.configuration.values import ApplicationSection, Configuration, LogLevel
from moesifasgi.shipper.http import Timeouts
from moesifasgi.shipper.liveness import ATTEMPT_S

Write = Callable[[str], Path]
ID = "an-id-that-nobody-may-see"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "shipper.toml"
        path.touch(0o600)
        path.write_text(text, "utf-8")
        return path

    return write


def faults_of(file: Path | None, environ=(), options=()) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(file, dict(environ), dict(options))
    return list(caught.value.faults)


def test_an_option_wins_over_the_environment_and_that_over_the_file(write: Write):
    file = write('drain_timeout = 1\nspool_dir = "/of/the/file"\nlog_level = "error"\n')
    environ = {"MOESIF_SHIPPER_SPOOL_DIR": "/of/the/environment", "MOESIF_SHIPPER_LOG_LEVEL": "warning"}
    found = load(file, environ, {"log_level": "debug"})
    assert found.file == file
    assert found.configuration.drain_timeout_s == 1.0
    assert found.configuration.spool_dir == "/of/the/environment"
    assert found.configuration.log_level is LogLevel.DEBUG


def test_an_empty_variable_counts_as_not_given(write: Write):
    found = load(write("drain_timeout = 1"), {"MOESIF_SHIPPER_DRAIN_TIMEOUT": ""}, {})
    assert found.configuration.drain_timeout_s == 1.0


def test_the_environment_names_the_file_unless_an_option_does(write: Write, tmp_path: Path):
    file = write("drain_timeout = 1")
    named = {"MOESIF_SHIPPER_CONFIG": str(file)}
    assert load(None, named, {}).configuration.drain_timeout_s == 1.0
    other = tmp_path / "other.toml"
    other.write_text("drain_timeout = 2")
    assert load(other, named, {}).configuration.drain_timeout_s == 2.0


def test_the_usual_file_may_be_absent_and_one_that_was_named_may_not(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("moesifasgi.shipper.configuration.sources.DEFAULT_FILE", str(tmp_path / "absent"))
    assert load(None, {}, {}) == Loaded(Configuration(), None, ())
    assert faults_of(tmp_path / "absent") == [f"{tmp_path / 'absent'}: expected a TOML file, found nothing"]


def test_every_fault_is_told_at_once_with_where_it_is_and_what_was_expected(write: Write):
    file = write(
        """
        sokcet = "/run/s.sock"
        socket_mode = 660
        allowed_users = ["nobody-of-this-name"]
        spool_max_bytes = 5_000_000
        [[application]]
        id = "one"
        spool_max_bytes = 6_000_000
        base_uri = "ftp://x"
        batch_sise = 3
        [[application]]
        id = "two"
        [[application]]
        id = "two"
        [[application]]
        id = "three"
        id_file = "/four"
        """
    )
    environ, options = {"MOESIF_SHIPPER_DRAIN_TIMEOUT": "long"}, {"durability": "half"}
    assert faults_of(file, environ, options) == [
        f"socket_mode ({file}): expected a mode in quotes, such as '0660', got 660 (int)",
        f"allowed_users ({file}): expected a list of users of this system, by name or number,"
        " got ['nobody-of-this-name'] (list)",
        "--durability: expected 'normal' or 'full', got 'half' (str)",
        "MOESIF_SHIPPER_DRAIN_TIMEOUT (environment): expected seconds from 0 to 3600, got 'long' (str)",
        "[[application]] 1: base_uri: expected an http or https URL with a host and no query,"
        " got 'ftp://x' (str)",
        "[[application]] 1: unknown key 'batch_sise'; did you mean batch_size?",
        "[[application]] 4: expected either id or id_file",
        f"{file}: unknown key 'sokcet'; did you mean socket?",
        "[[application]] 1: spool_max_bytes: expected at most that of the whole spool (5000000), got 6000000",
        "[[application]] 2: expected one section an application, another one has this id",
        "[[application]] 3: expected one section an application, another one has this id",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("socket = ", "expected a TOML file: Invalid value"),
        ("a = " + "[" * 5_000, "expected a TOML file"),
        ("application = 3", "expected [[application]] before each application"),
        ("[application]\nid = 'x'", "expected [[application]] before each application"),
        ("[[application]]\n" * 1001, "expected at most 1000"),
        ("#" * (2 << 20), "expected a TOML file, found more than 1048576 bytes"),
        ("unknown_applications = 'refuse'", "expected at least one [[application]] with 'refuse'"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_in_words(write: Write, text: str, expected: str):
    (fault, *_) = faults_of(write(text))
    assert expected in fault


def test_what_is_no_text_and_what_is_no_file_is_refused_in_words(write: Write, tmp_path: Path):
    file = write("")
    file.write_bytes(b"\xff")
    assert faults_of(file) == [f"{file}: expected UTF-8"]
    assert faults_of(tmp_path) == [f"{tmp_path}: expected a TOML file, found a directory"]
    os.mkfifo(tmp_path / "fifo")
    assert faults_of(tmp_path / "fifo") == [f"{tmp_path / 'fifo'}: expected a TOML file, found a pipe"]


def test_users_and_groups_are_meant_by_name_or_number(write: Write):
    mine = pwd.getpwuid(os.geteuid()).pw_name
    text = f'allowed_users = ["{mine}", 4711, "4712"]\nallowed_groups = ["root"]\nsocket_group = "root"\n'
    found = load(write(text), {}, {}).configuration
    assert found.allowed_users == (os.geteuid(), 4711, 4712)
    assert (found.allowed_groups, found.socket_group) == ((0,), 0)
    assert load(None, {"MOESIF_SHIPPER_ALLOWED_USERS": f"{mine}, 4711"}, {}).configuration.allowed_users == (
        os.geteuid(),
        4711,
    )


@pytest.mark.parametrize("user", ["true", "-1", "4294967295", "1.5", "[]"])
def test_what_is_no_user_is_refused(write: Write, user: str):
    assert "expected a list of users of this system" in faults_of(write(f"allowed_users = [{user}]"))[0]


def test_no_message_and_no_repr_shows_a_secret(write: Write):
    proxy = "http://user:pass-word@proxy.example:3128"
    good = load(write(f'http_proxy = "{proxy}"\n[[application]]\nid = "{ID}"\n'), {}, {})
    assert ID not in repr(good)
    assert "pass-word" not in repr(good)
    bad = f'http_proxy = "{proxy} "\n[[application]]\nid = "{ID} "\nhttp_proxy = "pass-word"\n'
    found = faults_of(write(bad))
    assert len(found) == 3
    assert not any(secret in line for secret in (ID, "pass-word") for line in found)


def test_no_secret_has_an_option_that_anyone_could_read():
    from moesifasgi.shipper.commands.run import run

    names = {name for option in run.params for name in option.opts}
    secret = [key.option for _, key in keys_of(Configuration) if key.secret]
    assert secret == ["--http-proxy"]
    assert names.isdisjoint(secret)


def test_an_id_can_be_in_a_file_of_its_own_or_in_systemds_credentials(write: Write, tmp_path: Path):
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    for place, text in ((tmp_path / "one.id", "id-one\n"), (credentials / "shop", " id-two \n")):
        place.touch(0o600)
        place.write_text(text)
    file = write(f'[[application]]\nid_file = "{tmp_path / "one.id"}"\n[[application]]\nid_file = "shop"\n')
    found = load(file, {"CREDENTIALS_DIRECTORY": str(credentials)}, {})
    assert [section.application_id for section in found.configuration.applications] == ["id-one", "id-two"]
    assert not found.warnings


def test_a_credential_that_only_systemd_knows_is_a_fault_to_run_by_and_a_warning_to_who_looks(write: Write):
    section = '[[application]]\nid_file = "id_shop"\n'
    file = write(section)
    told = "[[application]] 1: id_file id_shop: expected $CREDENTIALS_DIRECTORY"
    for environ in ({}, {"CREDENTIALS_DIRECTORY": ""}):
        (fault,) = faults_of(file, environ)
        assert fault.startswith(told)
        found = load(file, environ, {}, to_look=True)
        assert [line[: len(told)] for line in found.warnings] == [told]
    with pytest.raises(SettingsError, match="2: expected one section an application"):
        load(write(section * 2), {}, {}, to_look=True)
    for wrong in ("a/b", "..", "../id"):
        (fault,) = faults_of(write(f'[[application]]\nid_file = "{wrong}"\n'))
        assert "expected an absolute path, or the name of a systemd credential" in fault


def test_an_id_file_that_is_absent_or_holds_no_id_is_told_with_its_path(write: Write, tmp_path: Path):
    (tmp_path / "two").write_text("an id with spaces")
    (tmp_path / "bytes").write_bytes(b"\xff")
    os.mkfifo(tmp_path / "pipe")
    names = ("absent", "two", "bytes", "pipe")
    file = write("".join(f'[[application]]\nid_file = "{tmp_path / name}"\n' for name in names))
    absent, two, no_text, pipe = faults_of(file)
    assert absent.endswith(f"id_file {tmp_path / 'absent'}: expected a file with the id, found nothing")
    assert two.endswith("expected the Collector Application Id, without spaces, got a value of type str")
    assert no_text.endswith("expected a file with the id, found no text")
    assert pipe.endswith("expected a file with the id, found a pipe")


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o606])
def test_a_file_with_a_secret_that_is_open_to_others_is_worth_a_warning(
    write: Write, tmp_path: Path, mode: int
):
    id_file = tmp_path / "id"
    id_file.touch(mode)
    id_file.chmod(mode)
    id_file.write_text("another")
    for text, told in (
        (f'[[application]]\nid = "{ID}"\n', tmp_path / "shipper.toml"),
        ('http_proxy = "http://user:word@proxy.example:1"', tmp_path / "shipper.toml"),
        (f'[[application]]\nid_file = "{id_file}"\n', id_file),
    ):
        file = write(text)
        file.chmod(0o640)
        expected = f"{told} has mode {mode:04o} and holds a secret; expected 0640 or 0600"
        if told == file:
            assert load(file, {}, {}).warnings == ()
            file.chmod(mode)
        assert load(file, {}, {}).warnings == (expected,)


def test_a_file_that_others_can_change_is_worth_a_warning_whatever_it_holds(write: Write):
    file = write("drain_timeout = 1")
    for mode, told in ((0o644, False), (0o664, True), (0o646, True)):
        file.chmod(mode)
        expected = f"{file} has mode {mode:04o}, so others can change it; expected 0644 or less"
        assert load(file, {}, {}).warnings == ((expected,) if told else ())


def test_a_variable_with_our_prefix_that_means_nothing_is_worth_a_warning(write: Write):
    environ = {"MOESIF_SHIPPER_SPOOLDIR": "/x", "MOESIF_SHIPPER_LINGER": "3", "MOESIF_SHIPPER_CONFIG": ""}
    assert load(write(""), environ, {}).warnings == (
        "unknown variable MOESIF_SHIPPER_SPOOLDIR has no effect; did you mean MOESIF_SHIPPER_SPOOL_DIR?",
    )


@pytest.mark.parametrize(("seconds", "told"), [(33, False), (32.9, True), (1, True)])
def test_a_standstill_that_an_unanswered_upload_looks_like_is_worth_a_warning(
    write: Write, seconds: float, told: bool
):
    assert Timeouts().total_s == ATTEMPT_S
    expected = (
        f"standstill_timeout {seconds}: an upload may take 30 s, so that an outage would restart the shipper;"
        " expected at least 33"
    )
    assert load(write(f"standstill_timeout = {seconds}"), {}, {}).warnings == ((expected,) if told else ())


def test_every_key_is_in_the_example_with_what_it_means_and_a_value_that_fits(write: Write, monkeypatch):
    text = example()
    for section in (Configuration, ApplicationSection):
        for _, key in keys_of(section):
            assert f"\n# {key.name} = {key.example}\n" in text
            assert key.meaning.endswith((".", "own."))
            assert " ".join(key.meaning.split()) in " ".join(text.replace("\n# ", " ").split())
    given = re.sub(r"^# (?=[a-z_]+ = |\[\[)", "", text, flags=re.MULTILINE)
    given = given.replace('id_file = "/etc/moesif/shop.id"\n', "")
    wanted = [key.name for _, key in keys_of(Configuration)]
    assert [*tomllib.loads(given)] == [*wanted, "application"]
    accounts = {"moesif": 4711, "www-data": 33}
    monkeypatch.setattr("grp.getgrnam", lambda name: type("Group", (), {"gr_gid": accounts[name]}))
    monkeypatch.setattr("pwd.getpwnam", lambda name: type("User", (), {"pw_uid": accounts[name]}))
    found = load(write(given), {}, {}).configuration
    for name, key in keys_of(Configuration):
        value = getattr(found, name)
        # What is shown is the default, wherever there is one.
        assert value == key.default or not key.default, name


def test_the_example_as_it_is_changes_nothing(write: Write):
    assert load(write(example()), {}, {}).configuration == Configuration()


def test_the_example_in_the_documents_is_the_one_that_is_printed():
    root = Path(__file__).parent.parent.parent.parent
    assert (root / "docs" / "shipper.toml").read_text("utf-8") == example()


def test_every_key_of_an_application_reaches_its_section(write: Write):
    given = {
        "base_uri": '"https://proxy.example/collector"',
        "batch_size": "7",
        "batch_timeout": "0.5",
        "concurrent_uploads": "2",
        "user_agent_suffix": '"shop"',
        "http_proxy": '"http://proxy.example:3128"',
        "ca_bundle": '"/bundle.pem"',
        "spool_max_bytes": "70000",
        "probe_interval": "5",
    }
    lines = "\n".join(f"{name} = {value}" for name, value in given.items())
    (section,) = load(write(f"[[application]]\nid = 'x'\n{lines}\n"), {}, {}).configuration.applications
    assert {key.name for _, key in keys_of(ApplicationSection)} == {*given, "id", "id_file"}
    values = {key.name: getattr(section, name) for name, key in keys_of(ApplicationSection)}
    assert values == {name: tomllib.loads(f"x = {value}")["x"] for name, value in given.items()} | {
        "id": "x",
        "id_file": None,
    }
    assert Durability.FULL is Configuration().durability


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [key.name for section in (Configuration, ApplicationSection) for _, key in keys_of(section)]
    + ["application"]
)


@given(st.dictionaries(NAMES | st.text(max_size=5), VALUES, max_size=6), st.lists(VALUES, max_size=3))
def test_whatever_a_file_holds_is_taken_or_refused_with_reasons(content, sections):
    """T19."""
    source = loading.Sources(Path("f"), {"application": sections, **content}, {}, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "gather", lambda *_: source)
        with suppress(SettingsError):
            assert isinstance(load(None, {}, {}), Loaded)


@given(st.binary(max_size=60))
def test_whatever_bytes_a_file_has_are_taken_or_refused_with_reasons(tmp_path_factory, data):
    """T19."""
    file = tmp_path_factory.getbasetemp() / "bytes.toml"
    file.write_bytes(data)
    with suppress(SettingsError):
        load(file, {}, {})
