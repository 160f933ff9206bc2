"""Every setting of the service; `service.environment` reads them. None can change a score."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from service.access.options import AccessSettings
from service.database_address import with_authority, with_password

PREFIX = "CXR_"
DELIMITER = "__"
MAX_SCANNERS = 32
"""Aliases become metric labels, so their number is bounded; all others share `other`."""

Alias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelSettings(_Group):
    """Where the model comes from."""

    store: Path | None = Field(
        None, description="Model store; by default `model_store` here or beside the package."
    )
    cache_dir: Path | None = Field(
        None, description="Where the engine keeps its compiled model, for a quick second start."
    )
    public_key: Path | None = Field(
        None, description="Key (PEM) that every version must be signed with; none: digests alone."
    )
    certificate_chain: Path | None = Field(
        None,
        description="Certificates (PEM) of the authority that signs models, in place of a key.",
    )

    @model_validator(mode="after")
    def _trusts_one(self) -> Self:
        if self.public_key is not None and self.certificate_chain is not None:
            raise ValueError("public_key and certificate_chain: name one of them")
        return self


class EngineSettings(_Group):
    """What scores a batch."""

    name: Literal["auto", "openvino", "torch"] = Field(
        "auto", description="`auto` takes CUDA when it is there, else OpenVINO on the CPU."
    )
    device: str = Field("auto", description="Device of the engine, for example `cpu`, `cuda:0`.")
    threads: int = Field(0, ge=0, le=256, description="Threads of a CPU engine; 0: all cores.")


class BatchSettings(_Group):
    """How radiographs wait for company."""

    max_images: Annotated[int, Field(ge=1, le=256)] | None = Field(
        None,
        description="Most radiographs in one call of the engine; by default what it gains by.",
    )
    max_wait_seconds: float = Field(
        0.0, ge=0, le=5, description="Longest wait for company of one that finds the engine idle."
    )
    max_queued: int = Field(
        64, ge=1, le=4096, description="Radiographs that may wait; more are answered 503."
    )


class IntakeSettings(_Group):
    """What is refused before it costs anything."""

    max_body_bytes: int = Field(
        100_000_000, ge=1_000, le=1_000_000_000, description="Largest upload."
    )
    max_pixels: int = Field(
        64_000_000, ge=4_096, le=400_000_000, description="Largest radiograph, rows x columns."
    )
    max_requests: int = Field(
        64,
        ge=1,
        le=4096,
        description=(
            "Uploads in progress at once; more are answered 503. Not above "
            "CXR_BATCH__MAX_QUEUED, or an upload may be refused after it was decoded."
        ),
    )
    max_in_flight_bytes: int = Field(
        1_000_000_000,
        ge=1_000,
        le=64_000_000_000,
        description="Bytes of all uploads held in memory at once; more are answered 503.",
    )
    body_seconds: Seconds = Field(60, description="Longest time that an upload may take to arrive.")

    @model_validator(mode="after")
    def _one_upload_fits(self) -> Self:
        if self.max_in_flight_bytes < self.max_body_bytes:
            raise ValueError("max_in_flight_bytes is below max_body_bytes: no upload would fit")
        return self


class DecodeSettings(_Group):
    """Reading and preprocessing, off the event loop."""

    threads: int = Field(
        0, ge=0, le=64, description="Radiographs decoded at the same time; 0: one a core."
    )


class RecordSettings(_Group):
    """The shadow log."""

    password_file: Path | None = Field(
        None, description="File with the password of the database, where `url` names only a user."
    )
    ca_file: Path | None = Field(
        None,
        description=(
            "Certificates (PEM) that the database server's own is checked with; without it none "
            "is, and TLS is not demanded."
        ),
    )
    url: str = Field(
        "sqlite:///record/shadow.db", description="SQLAlchemy address of the shadow log."
    )
    site_key_file: Path = Field(
        Path("record/site.key"),
        description="Secret key of the pseudonyms; made at first start of a log without rows.",
    )

    @field_validator("url")
    @classmethod
    def _is_whole(cls, url: str, info: ValidationInfo) -> str:
        whole = with_password(url, info.data.get("password_file"))
        return with_authority(whole, info.data.get("ca_file"))


class PacsSettings(_Group):
    """The way in from a PACS."""

    url: str | None = Field(
        None,
        pattern=r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$",
        description="Address of Orthanc's REST API; without it nothing is pulled.",
    )
    user: str | None = Field(None, description="User that Orthanc knows the service by.")
    password_file: Path | None = Field(None, description="File that holds the password.")
    ca_file: Path | None = Field(
        None, description="Certificates (PEM) that Orthanc's own is checked with."
    )
    modalities: frozenset[str] = Field(
        frozenset({"CR", "DX"}),
        min_length=1,
        description="Modalities that are pulled, as JSON; others are counted and left alone.",
    )
    start: Literal["now", "beginning"] = Field(
        "now", description="First contact: leave the archive alone, or read all of it."
    )
    queue_file: Path = Field(
        Path("record/pacs.db"), description="Where the queue and the last sequence number are kept."
    )
    poll_seconds: float = Field(
        1.0, ge=0.05, le=3600, description="Time between two questions for changes."
    )
    retry_seconds: float = Field(
        2.0, ge=0.01, le=600, description="Wait before the second try; it doubles with each."
    )
    max_tries: int = Field(10, ge=1, le=100, description="Tries before a dead letter.")
    parallel_pulls: int = Field(2, ge=1, le=16, description="Instances pulled at the same time.")
    pull_seconds: Seconds = Field(60, description="Longest time that one instance may take.")

    @model_validator(mode="after")
    def _has_both_or_none(self) -> Self:
        if (self.user is None) != (self.password_file is None):
            raise ValueError("user and password_file go together")
        return self


class ServerSettings(_Group):
    """The HTTP server."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    deadline_seconds: Seconds = Field(
        30,
        description=(
            "Longest time from the last byte of an upload to its answer, where the caller "
            "names no deadline."
        ),
    )
    drain_seconds: Seconds = Field(
        25, description="After SIGTERM, longest time to answer what was accepted."
    )


class TracingSettings(_Group):
    """Traces of uploads, for those who run a collector."""

    url: str | None = Field(
        None,
        pattern=r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$",
        description=(
            "Where spans are posted, OTLP over HTTP, for example "
            "`http://127.0.0.1:4318/v1/traces`; without it nothing is traced. Needs the extra "
            "`tracing`."
        ),
    )
    sample_ratio: float = Field(1.0, gt=0, le=1, description="Share of the uploads traced.")


class Settings(BaseSettings):
    """All settings; environment variables are named `CXR_<GROUP>__<FIELD>`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        frozen=True,
        extra="forbid",
        # An error may end in a log or on a screen, and an address holds a password.
        hide_input_in_errors=True,
    )

    mode: Literal["live", "shadow"] = Field(
        "live", description="`shadow` records every score and tells the caller none."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log line that is written."
    )
    scanners: dict[str, Alias] = Field(
        default_factory=dict,
        description=(
            "Station name, or manufacturer and model joined by a vertical bar, to alias, as JSON; "
            "at most 32. Scanners that are not listed share the alias `other`."
        ),
    )
    model: ModelSettings = ModelSettings()
    engine: EngineSettings = EngineSettings()
    batch: BatchSettings = BatchSettings()
    intake: IntakeSettings = IntakeSettings()
    decode: DecodeSettings = DecodeSettings()
    record: RecordSettings = RecordSettings()
    pacs: PacsSettings = PacsSettings()
    server: ServerSettings = ServerSettings()
    access: AccessSettings = AccessSettings()
    tracing: TracingSettings = TracingSettings()

    @field_validator("scanners")
    @classmethod
    def _is_bounded(cls, scanners: dict[str, str]) -> dict[str, str]:
        if len(set(scanners.values())) > MAX_SCANNERS:
            raise ValueError(f"{len(set(scanners.values()))} aliases; at most {MAX_SCANNERS}")
        return scanners

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment; no `.env` file is read behind the operator's back."""
        return init_settings, env_settings


def find_model_store(named: Path | None) -> Path:
    """The named store, else `model_store` in the working folder, else beside the package."""
    if named is not None:
        return named
    here = Path("model_store")
    return here if here.is_dir() else Path(__file__).parents[1] / "model_store"
