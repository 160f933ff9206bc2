"""Hands the open Runtime to a route."""

from typing import Annotated, cast

from fastapi import Depends, Request

from service.runtime import Runtime


def get_runtime(request: Request) -> Runtime:
    """The runtime that the application's lifespan opened."""
    return cast(Runtime, request.app.state.runtime)


OpenRuntime = Annotated[Runtime, Depends(get_runtime)]
