"""POST /notify: a PACS names an instance that it stored; it is pulled later."""

from typing import Annotated, Any, Final, cast

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from service.api.problems import DOOR, documented
from service.core.errors import BodyTooLarge
from service.pacs import Inlet
from service.pacs.names import INSTANCE, INSTANCE_BYTES

router = APIRouter(tags=["radiographs"])

MOST_BYTES: Final = 1024
"""Enough to tell a wrong id from something that is none."""

NOTICE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "Orthanc's id of one instance, and nothing else.",
        "content": {
            "text/plain": {
                "schema": {
                    "type": "string",
                    "pattern": f"^{INSTANCE.pattern}$",
                    "minLength": INSTANCE_BYTES,
                    "maxLength": INSTANCE_BYTES,
                }
            }
        },
    }
}


class Noticed(BaseModel):
    """The instance is in the queue, or was dealt with before."""

    model_config = ConfigDict(frozen=True)

    accepted: bool = Field(True, description="Always true; what becomes of it is in the log.")


def get_inlet(request: Request) -> Inlet:
    """The way in that the application's lifespan opened."""
    return cast(Inlet, request.app.state.inlet)


@router.post(
    "/notify",
    status_code=202,
    responses=documented(
        "INVALID_REQUEST", "NOT_FOUND", "BODY_TOO_LARGE", "INTERNAL", "QUEUE_FULL",
        "RECORD_UNAVAILABLE", *DOOR,
    ),
    openapi_extra=NOTICE_BODY,
)  # fmt: skip
async def notify(request: Request, inlet: Annotated[Inlet, Depends(get_inlet)]) -> Noticed:
    """Take the id of a stored instance, and answer at once; the poller makes this optional."""
    await inlet.notify(await _read_little(request))
    return Noticed()


async def _read_little(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise BodyTooLarge(f"more than {MOST_BYTES} bytes; an id has {INSTANCE_BYTES}")
    return body
