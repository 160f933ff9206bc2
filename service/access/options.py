"""The settings group `access`, checked as a whole: half a configuration is refused, not guessed."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from service.access.addresses import is_loopback
from service.access.refusals import OpenToOthers
from service.access.scopes import Scope

Url = Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$")]
DAY_SECONDS = 86_400


class AccessSettings(BaseModel):
    """Who may do what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["off", "on"] = Field(
        "off",
        description="`off` asks nobody who they are, and serves this machine alone: on any other "
        "address than a loopback one the service then does not start.",
    )
    keys_file: Path = Field(
        Path("record/keys.json"),
        description="API keys, hashed; `cxr-triage keys` writes it, a running service follows it.",
    )
    requests_per_minute: int = Field(
        600, ge=1, le=100_000, description="Of a key that names no limit of its own."
    )
    failures_per_minute: int = Field(
        30, ge=1, le=100_000, description="Refusals of one address that are answered in full."
    )
    public_url: Url | None = Field(
        None,
        description="Address that people type, as the proxy shows it; https, or a loopback host.",
    )
    trusted_proxies: list[str] = Field(
        [], description="Addresses or networks, as JSON, whose X-Forwarded headers are believed."
    )
    session_seconds: int = Field(
        8 * 3600, ge=60, le=7 * DAY_SECONDS, description="Longest session of a person."
    )
    session_idle_seconds: int = Field(
        1800, ge=60, le=DAY_SECONDS, description="A session ends after that long without a request."
    )
    oidc_issuer: Url | None = Field(
        None, description="OpenID Connect provider for people; without it the pages take only keys."
    )
    oidc_client_id: str | None = Field(None, description="Name of this service at the provider.")
    oidc_client_secret_file: Path | None = Field(
        None, description="File with the client secret; none for a public client, PKCE is used."
    )
    oidc_ca_file: Path | None = Field(
        None, description="Certificates (PEM) that the provider's own is checked with."
    )
    oidc_scope: str = Field("openid profile", description="What the provider is asked for.")
    oidc_name_claim: str = Field(
        "preferred_username", description="Claim that is recorded beside the subject."
    )
    oidc_groups_claim: str = Field(
        "groups", description="Claim that lists a person's groups; dots lead into objects."
    )
    oidc_groups: dict[str, Scope] = Field(
        {}, description="Group to scope, as JSON; a person in none of them is refused."
    )

    @property
    def is_https(self) -> bool:
        """Whether people reach the service by https."""
        return self.public_url is not None and urlsplit(self.public_url).scheme == "https"

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, networks: list[str]) -> list[str]:
        for network in networks:
            if ipaddress.ip_network(network, strict=False).prefixlen == 0:
                raise ValueError("a network of all addresses would believe everybody")
        return networks

    @field_validator("public_url", "oidc_issuer")
    @classmethod
    def _is_private(cls, url: str | None) -> str | None:
        parts = urlsplit(url or "https:")
        if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
            raise ValueError("must begin with https://, or name a loopback host")
        return url

    @field_validator("public_url")
    @classmethod
    def _is_origin(cls, url: str | None) -> str | None:
        if url is not None and urlsplit(url).path not in ("", "/"):
            raise ValueError("must end after host and port: the pages have the whole of it")
        return url

    @model_validator(mode="after")
    def _sign_in_is_whole(self) -> Self:
        if self.oidc_issuer is None:
            return self
        if self.mode == "off":
            raise ValueError("oidc_issuer is set, and mode is off: nobody would be asked")
        parts = {"oidc_client_id": self.oidc_client_id, "public_url": self.public_url}
        missing = [name for name, value in parts.items() if value is None]
        if not self.oidc_groups:
            missing.append("oidc_groups")
        if missing:
            raise ValueError(f"oidc_issuer needs {', '.join(missing)} too")
        return self


def refuse_open_to_others(options: AccessSettings, host: str) -> None:
    """Refuse to serve others than this machine without asking who they are.

    There is no switch to allow it. A proxy that authenticates is no reason either: whoever
    reaches the port beside the proxy would be asked nothing. Give the proxy a key instead.

    Raises
    ------
    OpenToOthers
        What to do instead.
    """
    if options.mode == "off" and not is_loopback(host):
        raise OpenToOthers(
            f"access control is off, and {host} can be reached from elsewhere: set "
            "CXR_ACCESS__MODE=on and make a key with `cxr-triage keys create`, or listen on "
            "127.0.0.1"
        )
