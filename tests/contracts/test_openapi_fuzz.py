"""Requests that the OpenAPI document allows, and some that it forbids: no 500, no surprise.

Every operation is asked what Schemathesis makes of its description, over HTTP, and each answer must
have a documented status, media type and body.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis import Case, SerializationContext
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from service.app import create_app
from service.settings import Settings
from tests.support.apps import running_service
from tests.support.cases import LEVELS
from tests.support.radiographs import dicom_bytes, jpeg_bytes, png_bytes

CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 12
UPLOADS = {
    "application/dicom": (dicom_bytes(LEVELS), dicom_bytes(LEVELS, view="LL")),
    "image/png": (png_bytes(LEVELS),),
    "image/jpeg": (jpeg_bytes(),),
}
for media_type, bodies in UPLOADS.items():
    schemathesis.openapi.media_type(media_type, st.sampled_from(bodies) | st.binary(max_size=200))


@schemathesis.serializer(*UPLOADS)
def send_as_it_is(_context: SerializationContext, body: bytes) -> bytes:
    """An upload is no text."""
    return body


API = schemathesis.openapi.from_dict(create_app(Settings()).openapi())


@pytest.fixture(scope="module")
def url(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a running service."""
    with running_service(tiny_store, tmp_path_factory.mktemp("service")) as service:
        yield service.url


@API.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_a_documented_one(case: Case[Any], url: str) -> None:
    response = case.call(base_url=url, timeout=30)

    # 503 with a code is an answer; 500 is documented, and never given.
    assert response.status_code != 500
    case.validate_response(response, checks=CHECKS)


def test_every_path_is_asked() -> None:
    asked = {found.ok().path for found in API.get_all_operations() if isinstance(found, Ok)}

    assert asked == set(API.raw_schema["paths"])
    assert asked >= {"/predict", "/explain", "/healthz", "/readyz", "/model", "/metrics"}
