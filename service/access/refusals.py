"""Why somebody is not let in; `service.api.problems` gives each code its status."""

from service.core.errors import CapacityError, CxrError


class AccessRefused(CxrError):
    """Root of what the door says; `key_id` names the key that was shown, and is no secret."""

    code = "CREDENTIALS_INVALID"

    def __init__(self, message: str, *, key_id: str | None = None) -> None:
        super().__init__(message)
        self.key_id = key_id


class CredentialsMissing(AccessRefused):
    """Neither a key nor a session."""

    code = "CREDENTIALS_MISSING"


class CredentialsInvalid(AccessRefused):
    """What was shown is no key, or none of ours."""

    code = "CREDENTIALS_INVALID"


class KeyExpired(AccessRefused):
    """The key was good until its time was over; told only to who holds its secret."""

    code = "KEY_EXPIRED"


class KeyRevoked(AccessRefused):
    """The key was taken back; told only to who holds its secret."""

    code = "KEY_REVOKED"


class ScopeMissing(AccessRefused):
    """Known, and not allowed this."""

    code = "SCOPE_MISSING"


class ForgedRequest(AccessRefused):
    """Another site's page acts in the name of a person who is signed in."""

    code = "FORGED_REQUEST"


class ProxyRefused(AccessRefused):
    """A proxy stands before a service that asks nobody who they are."""

    code = "ACCESS_OFF"


class SignInFailed(AccessRefused):
    """The identity provider's answer cannot be believed, or names nobody."""

    code = "SIGN_IN_FAILED"


class RateLimited(CapacityError):
    """More requests than this key, or failures than this address, may have."""

    code = "RATE_LIMITED"

    def __init__(
        self, message: str, *, retry_after_seconds: float, key_id: str | None = None
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.key_id = key_id


class KeysUnavailable(CapacityError):
    """The keys file is missing or damaged, so nobody can be known."""

    code = "KEYS_UNAVAILABLE"


class SignInUnavailable(CapacityError):
    """The identity provider does not answer."""

    code = "SIGN_IN_UNAVAILABLE"


class OpenToOthers(CxrError):
    """The service would listen to others than this machine and ask nobody who they are."""

    code = "ACCESS_OPEN_TO_OTHERS"


class SecretUnreadable(CxrError):
    """The file with the client secret or the authority of the provider cannot be read."""

    code = "ACCESS_SECRET_UNREADABLE"


class KeyUnknown(CxrError):
    """The command line names a key that is not in the file."""

    code = "KEY_UNKNOWN"


class KeysFull(CxrError):
    """As many keys as may be are in use."""

    code = "KEYS_FULL"
