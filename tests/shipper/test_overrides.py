"""What the configuration knows better than workers, and on what terms a shipper serves then."""

import os

from moesifasgi.shipper.configuration.values import ApplicationSection, Configuration, Unknown
from moesifasgi.shipper.gate import Pace
from moesifasgi.shipper.terms import Terms
from moesifasgi.wire.application import Application

SAID = Application("shop", "https://said.example", batch_size=3, concurrent_uploads=2, ca_bundle="/said.pem")


def terms(*sections: ApplicationSection, **values: object) -> Terms:
    return Terms.of(Configuration(applications=sections, **values))


def test_without_a_word_in_the_configuration_the_workers_word_counts():
    assert terms().overrides.applied(SAID) is SAID


def test_what_is_set_for_all_wins_over_the_worker_and_a_section_over_both():
    section = ApplicationSection(application_id="shop", base_uri="https://own.example", batch_timeout_s=9.0)
    found = terms(section, base_uri="https://all.example", ca_bundle="/all.pem").overrides
    assert found.applied(SAID) == Application(
        "shop", "https://own.example", 3, 9.0, concurrent_uploads=2, ca_bundle="/all.pem"
    )
    assert found.applied(Application("bank", "https://said.example")) == Application(
        "bank", "https://all.example", ca_bundle="/all.pem"
    )


def test_an_application_that_only_the_configuration_names_can_be_delivered_for():
    found = terms(ApplicationSection(application_id="shop", base_uri="https://own.example")).overrides
    assert found.named("shop") == Application("shop", "https://own.example")
    assert found.named("bank") is None


def test_others_are_refused_only_if_told_to_and_never_by_their_whole_ids():
    section = ApplicationSection(application_id="shop")
    both = [SAID, Application("the-id-of-a-bank")]
    assert terms(section).overrides.refusal(both) is None
    refusing = terms(section, unknown_applications=Unknown.REFUSE)
    refusal = refusing.overrides.refusal(both)
    assert refusal == "this shipper's configuration names no application …bank, and refuses others"
    assert refusing.overrides.refusal([SAID]) is None


def test_terms_carry_limits_patience_and_who_is_admitted():
    section = ApplicationSection(application_id="shop", spool_max_bytes=70_000, probe_interval_s=5.0)
    found = terms(
        section,
        allowed_users=(4711,),
        allowed_groups=(4712,),
        spool_max_bytes=10**6,
        spool_min_free_bytes=7,
        socket_mode=0o660,
        socket_group=4712,
        drain_timeout_s=3.0,
    )
    assert found.overrides.paces == {"shop": Pace(probe_s=5.0)}
    assert (found.limits.max_bytes, found.limits.min_free_bytes) == (10**6, 7)
    assert found.limits.quotas == {"shop": 70_000}
    assert (found.socket_mode, found.socket_gid, found.drain_s) == (0o660, 4712, 3.0)
    assert found.admission.masters == {os.geteuid(), 0}
    assert (found.admission.uids, found.admission.gids) == ({4711}, {4712})


def test_no_repr_shows_an_id():
    found = terms(ApplicationSection(application_id="the-whole-id", spool_max_bytes=70_000))
    assert "the-whole-id" not in repr(found)
