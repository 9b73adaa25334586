"""Which chains of the audit trail have gaps."""

import pytest

from tools.audit_check import Link, Name, Version, find_gaps

# Created in November 2025.
NAME = Name("owner", "resource", "019ab0c1-7a3e-7c55-9d1f-3f2b8c6d4e10")
BEFORE, AFTER = "2025-01-01", "2026-01-01"
CHAIN = (Link(None, "a"), Link("a", "b"), Link("b", "c"))
CURRENT = Version("c", "2025-12-01T00:00:00.000Z")
DELETED = (*CHAIN, Link("c", None))


@pytest.mark.parametrize(
    ("links", "current", "since"),
    [
        pytest.param(CHAIN, CURRENT, BEFORE, id="whole"),
        pytest.param(CHAIN[::-1], CURRENT, BEFORE, id="in any order"),
        pytest.param(DELETED, None, BEFORE, id="ended"),
        pytest.param(CHAIN[1:], CURRENT, AFTER, id="its beginning has expired"),
        pytest.param((), CURRENT, AFTER, id="all of it has expired"),
        pytest.param(
            (*CHAIN, Link("c", "b"), Link("b", "d")), Version("d", AFTER), BEFORE, id="an update was repeated"
        ),
    ],
)
def test_a_chain_without_a_gap(links: tuple[Link, ...], current: Version | None, since: str) -> None:
    assert not list(find_gaps(NAME, links, current, since))


@pytest.mark.parametrize(
    ("links", "current", "since", "gap"),
    [
        pytest.param(CHAIN[1:], CURRENT, BEFORE, "version a has no entry", id="no creation"),
        pytest.param((CHAIN[0], CHAIN[2]), CURRENT, BEFORE, "version b has no entry", id="a gap"),
        pytest.param((CHAIN[0], CHAIN[2]), CURRENT, AFTER, "version b has no entry", id="a gap in an old chain"),
        pytest.param(CHAIN[:2], CURRENT, BEFORE, "version c, which is in the table, has no entry", id="no last entry"),
        pytest.param((), CURRENT, BEFORE, "version c, which is in the table, has no entry", id="no entry"),
        pytest.param(CHAIN, None, BEFORE, "the resource is gone, and no entry says so", id="no deletion"),
        pytest.param((*CHAIN, Link("a", "d")), CURRENT, BEFORE, "2 entries follow version a", id="a fork"),
        pytest.param((*CHAIN, Link(None, "d")), CURRENT, BEFORE, "2 entries follow the creation", id="two beginnings"),
    ],
)
def test_a_gap_is_named(links: tuple[Link, ...], current: Version | None, since: str, gap: str) -> None:
    assert gap in list(find_gaps(NAME, links, current, since))
