"""What an identity provider says is believed only if it is signed, for us, now, and once."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey

from service.access.people import GroupRule
from service.access.provider import Provider, ProviderAddress
from service.access.refusals import AccessRefused, SignInFailed, SignInUnavailable
from service.access.scopes import Scope
from service.access.sessions import SignIn

ISSUER = "https://login.example"
CLIENT = "cxr-triage"
SIGN_IN = SignIn(state="s", nonce="n", code_verifier="v", next_path="/review")
OURS, THEIRS = (RSAKey.generate_key(2048, {"kid": "one"}) for _ in range(2))
SHARED = OctKey.import_key("a-client-secret-of-more-than-32-bytes")
Claims = dict[str, Any]


def claims(**changes: Any) -> Claims:
    """A good identity token's; a change to None leaves a claim out."""
    now = int(time.time())
    plain: Claims = {
        "iss": ISSUER, "aud": CLIENT, "sub": "42", "nonce": "n", "iat": now, "exp": now + 300,
        "groups": ["radiology"],
    }  # fmt: skip
    return {name: value for name, value in (plain | changes).items() if value is not None}


def signed(told: Claims, key: RSAKey | OctKey = OURS, algorithm: str = "RS256") -> str:
    """The token of these claims."""
    return jwt.encode({"alg": algorithm, "kid": "one"}, told, key, algorithms=[algorithm])


class Answers:
    """A provider in memory."""

    def __init__(self, id_token: object) -> None:
        self.token: Claims = {"access_token": "a", "token_type": "Bearer", "id_token": id_token}
        self.user: Claims = {"sub": "42"}
        self.metadata: Claims = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/auth",
            "token_endpoint": f"{ISSUER}/token",
            "userinfo_endpoint": f"{ISSUER}/me",
            "jwks_uri": f"{ISSUER}/keys",
            "id_token_signing_alg_values_supported": ["none", "HS256", "RS256"],
        }
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        keys = KeySet([OURS]).as_dict(private=False)
        told: Claims = {
            "/.well-known/openid-configuration": self.metadata,
            "/token": self.token,
            "/keys": keys,
            "/me": self.user,
        }
        return httpx.Response(200, json=told[request.url.path])

    def provider(self, answer: Callable[[httpx.Request], httpx.Response] | None = None) -> Provider:
        """The client under test, wired to it."""
        address = ProviderAddress(
            issuer=ISSUER, client_id=CLIENT, client_secret="secret", scope="openid",
            callback_url="https://triage.example/sign-in/callback", ca_file=None,
        )  # fmt: skip
        rule = GroupRule("groups", "name", {"radiology": Scope.REVIEW})
        return Provider(address, rule, transport=httpx.MockTransport(answer or self))


async def finish(answers: Answers) -> str:
    person = await answers.provider().finish(SIGN_IN, {"code": "c", "state": "s"})
    return person.name


async def test_signed_identity_is_believed_and_the_code_goes_with_its_verifier() -> None:
    answers = Answers(signed(claims(name="Anna Meier")))

    name = await finish(answers)

    sent = answers.asked[1].content.decode()
    assert name == "Anna Meier (42)"
    assert "code_verifier=v" in sent
    assert "code=c" in sent


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"}, {"iss": None}, {"aud": "another-client"}, {"aud": None},
        {"nonce": "another"}, {"nonce": None}, {"exp": 1}, {"exp": None}, {"sub": None},
        {"iat": None}, {"sub": 42}, {"nbf": 4_000_000_000}, {"exp": "soon"},
        {"aud": [CLIENT, "another"], "azp": "another"},
    ],
    ids=str,
)  # fmt: skip
async def test_identity_that_is_not_for_us_now_is_refused(changes: Claims) -> None:
    with pytest.raises(AccessRefused):
        await finish(Answers(signed(claims(**changes))))


def unsigned() -> str:
    head = "eyJhbGciOiJub25lIn0"
    return f"{head}.{signed(claims()).split('.')[1]}."


def altered() -> str:
    head, _, seal = signed(claims()).split(".")
    return f"{head}.{signed(claims(sub='43')).split('.')[1]}.{seal}"


@pytest.mark.parametrize(
    "token",
    [
        unsigned(), altered(), signed(claims(), THEIRS), signed(claims(), SHARED, "HS256"),
        "", "a.b.c", None, 42, ["x"],
    ],
    ids=[
        "unsigned", "altered", "signed by another", "signed with a secret", "empty", "no token",
        "missing", "number", "list",
    ],
)  # fmt: skip
async def test_identity_that_the_provider_did_not_sign_is_refused(token: object) -> None:
    with pytest.raises(SignInFailed):
        await finish(Answers(token))


async def test_groups_that_are_told_only_when_asked_are_asked_for() -> None:
    answers = Answers(signed(claims(groups=None)))
    answers.user = {"sub": "42", "groups": ["radiology"], "name": "Anna"}

    assert await finish(answers) == "Anna (42)"


async def test_answer_about_another_person_is_refused() -> None:
    answers = Answers(signed(claims(groups=None)))
    answers.user = {"sub": "43", "groups": ["radiology"]}

    with pytest.raises(SignInFailed, match="two persons"):
        await finish(answers)


@pytest.mark.parametrize("answer", [{}, {"state": "other", "code": "c"}, {"state": "s"}])
async def test_answer_without_its_state_or_code_is_not_even_redeemed(
    answer: dict[str, str],
) -> None:
    answers = Answers(signed(claims()))

    with pytest.raises(SignInFailed):
        await answers.provider().finish(SIGN_IN, answer)
    assert answers.asked == []


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (httpx.Response(500, text="PATIENT"), SignInUnavailable),
        (httpx.Response(200, text="<html>PATIENT"), SignInFailed),
        (httpx.Response(200, json=[]), SignInFailed),
        (httpx.Response(200, json={"issuer": "https://evil.example"}), SignInFailed),
    ],
    ids=["broken", "a page", "a list", "another issuer"],
)
async def test_provider_that_answers_nonsense_is_not_repeated(
    response: httpx.Response, error: type[Exception]
) -> None:
    provider = Answers(None).provider(lambda _: response)

    with pytest.raises(error) as refusal:
        await provider.begin("/review")

    assert "PATIENT" not in str(refusal.value)


async def test_provider_that_cannot_be_reached_is_said_to_be_away() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route", request=request)

    with pytest.raises(SignInUnavailable):
        await Answers(None).provider(fail).begin("/review")
