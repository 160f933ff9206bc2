"""The error tree: what can go wrong with a radiograph, with capacity, or with a model.

Every leaf has a stable `code`; none knows HTTP (`service.api.problems` translates). Messages
say what was seen and what was expected, and never hold a value of a patient tag or a path
outside the artifact.
"""


class CxrError(Exception):
    """Root of every error that this project raises on purpose."""

    code = "INTERNAL"


class IntakeError(CxrError):
    """The sender can mend it."""

    code = "INTAKE"


class UnknownFormat(IntakeError):
    """Bytes are neither PNG, JPEG nor DICOM."""

    code = "UNKNOWN_FORMAT"


class EmptyUpload(IntakeError):
    """No bytes at all."""

    code = "EMPTY_UPLOAD"


class BodyTooLarge(IntakeError):
    """More bytes than the limit."""

    code = "BODY_TOO_LARGE"


class ImageTooLarge(IntakeError):
    """More pixels than the limit; found in the header, before anything is decoded."""

    code = "IMAGE_TOO_LARGE"


class ImageTooSmall(IntakeError):
    """Fewer pixels a side than any radiograph has."""

    code = "IMAGE_TOO_SMALL"


class UnsupportedTransferSyntax(IntakeError):
    """DICOM transfer syntax that this reader refuses."""

    code = "UNSUPPORTED_TRANSFER_SYNTAX"


class UnsupportedPixelFormat(IntakeError):
    """Pixel layout that is not a grey radiograph (colour content, more than 16 bits ...)."""

    code = "UNSUPPORTED_PIXEL_FORMAT"


class DamagedFile(IntakeError):
    """The container is recognised, and broken."""

    code = "DAMAGED_FILE"


class PixelDataDamaged(IntakeError):
    """Pixel data is missing, truncated, or does not decode to what the header promises."""

    code = "PIXEL_DATA_DAMAGED"


class NoPixelData(IntakeError):
    """A DICOM object that claims to be an image and carries no pixels."""

    code = "NO_PIXEL_DATA"


class UnsafePreamble(IntakeError):
    """The 128-byte DICOM preamble holds something other than zeros or TIFF (CVE-2019-11687)."""

    code = "UNSAFE_PREAMBLE"


class InvalidRequest(IntakeError):
    """The request itself is malformed: wrong field, several files, bad header."""

    code = "INVALID_REQUEST"


class ReplayConflict(IntakeError):
    """The same SOP Instance UID arrived before with other pixels."""

    code = "SOP_INSTANCE_CONFLICT"


class NotEvaluated(CxrError):
    """A valid image outside the intended use: never called normal, never lowers a priority."""

    code = "NOT_EVALUATED"

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class CapacityError(CxrError):
    """Try again later."""

    code = "CAPACITY"

    def __init__(self, message: str, *, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class QueueFull(CapacityError):
    """No place in the queue."""

    code = "QUEUE_FULL"


class DeadlineExceeded(CapacityError):
    """The caller's deadline passed, or cannot be met."""

    code = "DEADLINE_EXCEEDED"


class ShuttingDown(CapacityError):
    """The service is draining."""

    code = "SHUTTING_DOWN"


class RecordUnavailable(CapacityError):
    """The shadow log cannot be written, and an answer without a row is not given."""

    code = "RECORD_UNAVAILABLE"


class EngineFailed(CapacityError):
    """The engine raised while scoring this batch."""

    code = "ENGINE_FAILED"


class ArtifactError(CxrError):
    """We shipped it wrong: the model artifact must not serve."""

    code = "ARTIFACT"


class ArtifactMissing(ArtifactError):
    """A file or a model version is not there."""

    code = "ARTIFACT_MISSING"


class ArtifactInvalid(ArtifactError):
    """The manifest does not follow its schema, or contradicts itself."""

    code = "ARTIFACT_INVALID"


class DigestMismatch(ArtifactError):
    """A file of the artifact is not the one that the manifest names."""

    code = "ARTIFACT_DIGEST_MISMATCH"


class SelfTestFailed(ArtifactError):
    """The engine does not reproduce the golden scores."""

    code = "ARTIFACT_SELF_TEST_FAILED"
