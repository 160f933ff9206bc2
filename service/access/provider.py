"""The identity provider, by OpenID Connect: authorization code with PKCE, state and nonce.

The protocol, the signatures and their keys are Authlib's work. Imported only where a provider is
configured: it takes half a second.
"""

import hmac
import ssl
import warnings
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from authlib.common.errors import AuthlibBaseError
from authlib.deprecate import AuthlibDeprecationWarning
from joserfc.errors import JoseError

from service.access.caller import Caller
from service.access.people import SUBJECT, GroupRule
from service.access.refusals import SignInFailed, SignInUnavailable
from service.access.sessions import SignIn

with warnings.catch_warnings():
    # It would rather speak through a successor of httpx, which is not needed beside it.
    warnings.simplefilter("ignore", AuthlibDeprecationWarning)
    from authlib.integrations.httpx_client._compat import httpx2 as http
    from authlib.integrations.starlette_client import OAuth, StarletteOAuth2App

T = TypeVar("T")
DISCOVERY: Final = "/.well-known/openid-configuration"
SECONDS: Final = 10.0
RETRY_SECONDS: Final = 5.0
SIGNED_BY: Final = frozenset({
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
})  # fmt: skip
"""With a key of the provider alone: never `none`, never a secret that the client holds too."""
LEEWAY_SECONDS: Final = 60
ALGORITHMS: Final = "id_token_signing_alg_values_supported"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderAddress:
    """Which provider, and as which client."""

    issuer: str
    client_id: str
    client_secret: str | None
    scope: str
    callback_url: str
    ca_file: Path | None


class Provider:
    """Sends people to the identity provider, and reads what it says of them.

    Parameters
    ----------
    transport
        Of the HTTP client; None: the network.
    """

    def __init__(
        self, address: ProviderAddress, rule: GroupRule, *, transport: object | None = None
    ) -> None:
        self._address = address
        self._rule = rule
        self._client = _open_client(address, transport)

    async def begin(self, next_path: str) -> tuple[str, SignIn]:
        """Where to send somebody, and what must come back with them.

        Raises
        ------
        SignInUnavailable
            The provider does not answer.
        SignInFailed
            It is not the one that was configured.
        """
        await self._ask(self._load_metadata)
        begun = await self._ask(
            lambda: self._client.create_authorization_url(self._address.callback_url)
        )
        return str(begun["url"]), SignIn(
            state=begun["state"], nonce=begun["nonce"], code_verifier=begun["code_verifier"],
            next_path=next_path,
        )  # fmt: skip

    async def finish(self, sign_in: SignIn, answer: Mapping[str, str]) -> Caller:
        """The person whom the provider sent back.

        Parameters
        ----------
        answer
            Query of the callback.

        Raises
        ------
        SignInFailed, ScopeMissing, SignInUnavailable
            It said no, cannot be believed, named nobody who may, or does not answer.
        """
        if not hmac.compare_digest(answer.get("state", "").encode(), sign_in.state.encode()):
            raise SignInFailed("the answer belongs to another sign-in")
        # RFC 9207: the answer of one provider must not pass for that of another.
        if answer.get("iss", self._address.issuer) != self._address.issuer:
            raise SignInFailed("the answer comes from another provider")
        if "code" not in answer:
            raise SignInFailed("the identity provider did not agree")
        await self._ask(self._load_metadata)
        claims = await self._ask(lambda: self._redeem(sign_in, answer["code"]))
        return self._rule.admit(claims)

    async def end_address(self) -> str | None:
        """Where people end their session at the provider itself, if it has such a page."""
        metadata = await self._ask(self._load_metadata)
        told = metadata.get("end_session_endpoint")
        return told if isinstance(told, str) else None

    async def _load_metadata(self) -> Mapping[str, Any]:
        metadata: dict[str, Any] = await self._client.load_server_metadata()
        if metadata.get("issuer") != self._address.issuer:
            self._client.server_metadata.clear()
            raise SignInFailed("the provider names itself otherwise than it is configured")
        known = SIGNED_BY.intersection(metadata.get(ALGORITHMS, ()))
        metadata[ALGORITHMS] = sorted(known)
        return metadata

    async def _redeem(self, sign_in: SignIn, code: str) -> dict[str, Any]:
        token = await self._client.fetch_access_token(
            redirect_uri=self._address.callback_url, code=code, code_verifier=sign_in.code_verifier
        )
        claims = await self._client.parse_id_token(
            token, nonce=sign_in.nonce, claims_options=self._expected(), leeway=LEEWAY_SECONDS
        )
        if claims is None:
            raise SignInFailed("the identity provider sent no identity")
        told = dict(claims)
        if not self._rule.has_groups(told):
            told |= await self._more_of(told, token)
        return told

    def _expected(self) -> dict[str, Any]:
        return {
            "iss": {"essential": True, "value": self._address.issuer},
            "aud": {"essential": True, "value": self._address.client_id},
            "exp": {"essential": True},
            "iat": {"essential": True},
            "nonce": {"essential": True},
            SUBJECT: {"essential": True},
        }

    async def _more_of(self, told: Mapping[str, Any], token: Mapping[str, Any]) -> dict[str, Any]:
        """What the provider says only when asked; it must speak of the same person."""
        more = dict(await self._client.userinfo(token=token))
        if more.get(SUBJECT) != told[SUBJECT]:
            raise SignInFailed("the identity provider speaks of two persons")
        return more

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Translate what goes wrong; no word of the provider's answer is repeated."""
        try:
            return await question()
        except (http.HTTPError, OSError) as error:
            raise SignInUnavailable(
                "the identity provider does not answer", retry_after_seconds=RETRY_SECONDS
            ) from error
        except (AuthlibBaseError, JoseError, ValueError, KeyError, TypeError) as error:
            raise SignInFailed(
                f"the answer of the identity provider cannot be believed: {type(error).__name__}"
            ) from error


def _open_client(address: ProviderAddress, transport: object | None) -> StarletteOAuth2App:
    trusted = ssl.create_default_context(cafile=address.ca_file)
    return OAuth().register(
        "site",
        client_id=address.client_id,
        client_secret=address.client_secret,
        server_metadata_url=address.issuer.rstrip("/") + DISCOVERY,
        client_kwargs={
            "scope": address.scope,
            "code_challenge_method": "S256",
            "timeout": SECONDS,
            "trust_env": False,
            "verify": trusted,
            "transport": transport,
        },
    )
