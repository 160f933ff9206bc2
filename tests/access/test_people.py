"""Who a person is, and what their groups allow, by the claims of the provider."""

import pytest

from service.access.people import GroupRule
from service.access.refusals import ScopeMissing, SignInFailed
from service.access.scopes import Scope

RULE = GroupRule(
    "realm_access.roles", "preferred_username", {"rad": Scope.REVIEW, "it": Scope.ADMIN}
)


@pytest.mark.parametrize(
    ("claims", "name", "scopes"),
    [
        ({"sub": "42", "preferred_username": "anna"}, "anna (42)", {Scope.REVIEW}),
        ({"sub": "42"}, "42", {Scope.REVIEW}),
        ({"sub": "42", "preferred_username": "a\nb"}, "42", {Scope.REVIEW}),
        ({"sub": "42", "preferred_username": ["anna"]}, "42", {Scope.REVIEW}),
    ],
)
def test_person_is_recorded_by_name_and_subject(
    claims: dict[str, object], name: str, scopes: set[Scope]
) -> None:
    person = RULE.admit(claims | {"realm_access": {"roles": ["rad", "others"]}})

    assert person.name == name
    assert person.scopes == scopes
    assert person.csrf_token


def test_groups_add_up() -> None:
    person = RULE.admit({"sub": "42", "realm_access": {"roles": ["rad", "it"]}})

    assert person.scopes == {Scope.REVIEW, Scope.ADMIN}


@pytest.mark.parametrize(
    "told",
    [
        {}, {"realm_access": None}, {"realm_access": {"roles": None}}, {"realm_access": ["rad"]},
        {"realm_access": {"roles": [["rad"], {"rad": 1}, "RAD"]}}, {"realm_access.roles": "rad"},
    ],
)  # fmt: skip
def test_person_in_no_group_is_refused(told: dict[str, object]) -> None:
    with pytest.raises(ScopeMissing):
        RULE.admit({"sub": "42", **told})


@pytest.mark.parametrize("subject", [None, "", 42, "a\x00b", "x" * 200])
def test_person_without_a_plain_subject_is_nobody(subject: object) -> None:
    with pytest.raises(SignInFailed):
        RULE.admit({"sub": subject, "realm_access": {"roles": ["rad"]}})
