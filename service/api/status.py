"""GET /healthz, /readyz, /model and /metrics: what operations asks."""

from typing import Final

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from service.answers import NOTICE
from service.api.dependencies import OpenRuntime
from service.api.exposition import expose
from service.api.problems import DOOR, documented
from service.api.schemas import (
    Health,
    IntendedUseBody,
    IntervalBody,
    ModelBody,
    OperatingPointBody,
    Readiness,
)

router = APIRouter(tags=["status"])

PROBED: Final = ["GET", "HEAD"]
"""Load balancers probe by HEAD, which any resource has that can be read (RFC 9110, 9.1)."""


@router.get("/healthz")
@router.api_route("/healthz", methods=PROBED, include_in_schema=False)
async def healthz() -> Health:
    """The process answers."""
    return Health()


@router.get(
    "/readyz",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Not now; the reasons are codes."}},
)
@router.api_route("/readyz", methods=PROBED, include_in_schema=False, response_model=None)
async def readyz(runtime: OpenRuntime) -> Response:
    """Whether a radiograph would be answered now: model warm, queue not full, log writable."""
    reasons = runtime.unready_reasons()
    body = Readiness(ready=not reasons, reasons=reasons)
    return JSONResponse(body.model_dump(), 503 if reasons else 200)


@router.get("/model", responses=documented(*DOOR))
@router.api_route("/model", methods=PROBED, include_in_schema=False)
async def model(runtime: OpenRuntime) -> ModelBody:
    """What serves, what it is for, and how well it was measured to work."""
    manifest, intended = runtime.manifest, runtime.manifest.intended_use
    return ModelBody(
        name=manifest.name,
        version=manifest.version,
        digest=runtime.model.stamp.digest,
        description=manifest.description,
        architecture=manifest.architecture,
        created=manifest.created,
        engine=runtime.engine.name,
        device=runtime.engine.device,
        findings=list(manifest.findings),
        views=[view.value for view in manifest.views],
        operating_points=[
            OperatingPointBody(
                finding=point.finding,
                purpose=point.purpose.value,
                target_sensitivity=point.target_sensitivity,
                confidence=point.confidence,
                positives=point.positives,
                threshold=point.threshold,
            )
            for point in manifest.operating_points
        ],
        intended_use=IntendedUseBody(
            modalities=list(intended.modalities),
            views=[str(view) for view in intended.views],
            min_age_years=intended.min_age_years,
            max_age_years=intended.max_age_years,
        ),
        metrics={
            name: IntervalBody(value=metric.value, low=metric.low, high=metric.high)
            for name, metric in manifest.metrics.items()
        },
        audit=manifest.audit.value,
        mode=runtime.mode.value,
        notice=NOTICE,
    )


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **documented(*DOOR),
    },
)
@router.api_route("/metrics", methods=PROBED, include_in_schema=False, response_model=None)
async def metrics(runtime: OpenRuntime) -> Response:
    """Prometheus text format."""
    return Response(await expose(runtime.metrics.registry), media_type=CONTENT_TYPE_LATEST)
