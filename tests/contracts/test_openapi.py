"""The OpenAPI page promises what the service does."""

from typing import Any

import pytest

from service.access.scopes import Need, need_of
from service.api.problems import DOOR, STATUS, Problem
from service.app import create_app
from tests.support.apps import tiny_settings

Paths = dict[str, Any]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("openapi")
    return create_app(tiny_settings(folder, folder)).openapi()


@pytest.fixture(scope="module")
def paths(document: dict[str, Any]) -> Paths:
    found: Paths = document["paths"]
    return found


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        ("/predict", {200, 202, 400, 401, 403, 408, 409, 413, 415, 422, 429, 500, 503}),
        ("/explain", {200, 400, 401, 403, 408, 413, 415, 422, 429, 500, 503}),
    ],
)
def test_every_status_is_documented(paths: Paths, path: str, statuses: set[int]) -> None:
    documented = {int(status) for status in paths[path]["post"]["responses"]}

    assert documented == statuses


def test_every_code_but_those_of_other_routes_is_documented_for_predict(paths: Paths) -> None:
    elsewhere = {
        "SHADOW_MODE", "NOT_EVALUATED", "NOT_FOUND", "METHOD_NOT_ALLOWED", "CAPACITY",
        "FORGED_REQUEST", "SIGN_IN_FAILED", "SIGN_IN_UNAVAILABLE",
    }  # fmt: skip
    responses = paths["/predict"]["post"]["responses"].values()

    examples = [
        content.get("examples", {})
        for response in responses
        for content in response["content"].values()
    ]
    assert {code for example in examples for code in example} == set(STATUS) - elsewhere


def test_every_path_behind_the_door_documents_what_the_door_may_answer(paths: Paths) -> None:
    at_the_door = {str(int(STATUS[code])) for code in DOOR}

    for path, operations in paths.items():
        documented = set().union(*(operation["responses"] for operation in operations.values()))
        is_open = need_of(path) is Need.OPEN
        assert documented & {"401", "403", "429"} == (set() if is_open else {"401", "403", "429"})
        assert is_open or documented >= at_the_door, path


def test_problem_bodies_are_problem_json(paths: Paths) -> None:
    responses = paths["/predict"]["post"]["responses"]

    refused = [response for status, response in responses.items() if int(status) >= 400]
    assert all(set(response["content"]) == {"application/problem+json"} for response in refused)
    assert "Retry-After" in responses["503"]["headers"]


def test_client_that_is_made_from_it_reads_every_problem(document: dict[str, Any]) -> None:
    problems = [
        response["content"]["application/problem+json"]
        for operations in document["paths"].values()
        for operation in operations.values()
        for response in operation["responses"].values()
        if "application/problem+json" in response.get("content", {})
    ]

    assert {problem["schema"]["$ref"] for problem in problems} == {"#/components/schemas/Problem"}
    for example in (one for problem in problems for one in problem["examples"].values()):
        Problem.model_validate(example["value"], extra="forbid")


def test_upload_is_documented_in_every_form(paths: Paths) -> None:
    content = paths["/predict"]["post"]["requestBody"]["content"]

    assert set(content) >= {"multipart/form-data", "application/dicom", "image/png", "image/jpeg"}
    assert content["multipart/form-data"]["schema"]["required"] == ["file"]


def test_client_that_is_made_from_it_knows_where_a_key_goes(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]

    assert schemes["bearer"]["scheme"] == "bearer"
    assert (schemes["header"]["in"], schemes["header"]["name"]) == ("header", "X-API-Key")
    for path, operations in document["paths"].items():
        named = {name for one in next(iter(operations.values()))["security"] for name in one}
        assert named == (set() if need_of(path) is Need.OPEN else set(schemes)), path


def test_metrics_are_documented_as_text(paths: Paths) -> None:
    assert set(paths["/metrics"]["get"]["responses"]["200"]["content"]) == {"text/plain"}
