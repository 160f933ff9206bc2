"""Hands the open Runtime to a route."""

from typing import Annotated, cast

from fastapi import Depends, Request

from service.runtime import Runtime


async def get_runtime(request: Request) -> Runtime:
    """The runtime that the application's lifespan opened.

    A plain function would be sent to a thread by the framework, and a thread for each of many
    callers costs more than the whole answer of a small request.
    """
    return cast(Runtime, request.app.state.runtime)


OpenRuntime = Annotated[Runtime, Depends(get_runtime)]
