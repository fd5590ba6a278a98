import json

import pytest

from embedding_operator.kube.errors import ApiError


def status(**fields):
    return json.dumps({"kind": "Status", **fields}).encode()


def test_the_servers_own_words_are_kept():
    error = ApiError.from_response(422, {}, status(reason="Invalid", message="spec.x: Required value"))
    assert (error.status, error.reason, error.message) == (422, "Invalid", "spec.x: Required value")
    assert error.is_invalid
    assert not error.is_temporary


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({"Retry-After": "7"}, b"", 7.0),
        ({}, status(details={"retryAfterSeconds": 3}), 3.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, status(details={"retryAfterSeconds": 3}), 3.0),
        ({"Retry-After": "-1"}, b"", 0.0),
        ({}, b"", None),
        ({}, status(details=None), None),
    ],
)
def test_retry_after(headers, body, expected):
    assert ApiError.from_response(429, headers, body).retry_after == expected


@pytest.mark.parametrize("body", [b"<html>502 Bad Gateway</html>", b"\xff\xfe", b"[]", b'"text"', b""])
def test_answers_of_something_in_between_are_errors_too(body):
    error = ApiError.from_response(502, {}, body)
    assert error.is_temporary
    assert error.reason == "HTTP502"
    assert error.message


def test_server_side_apply_says_500_for_what_the_sender_did_wrong():
    message = "failed to create typed patch object (a/x; apps/v1, Kind=Deployment): .spec.replica: field not declared"
    error = ApiError.from_response(500, {}, status(message=message))
    assert error.is_invalid
    assert not error.is_temporary


@pytest.mark.parametrize(
    ("code", "reason", "true"),
    [
        (409, "AlreadyExists", {"is_conflict", "is_already_exists"}),
        (409, "Conflict", {"is_conflict"}),
        (404, "NotFound", {"is_not_found"}),
        (410, "Expired", {"is_expired"}),
        (400, "BadRequest", {"is_invalid"}),
        (403, "Forbidden", {"is_forbidden"}),
        (429, "TooManyRequests", {"is_temporary"}),
        (503, "ServiceUnavailable", {"is_temporary"}),
        (500, "InternalError", {"is_temporary"}),
        (0, "Timeout", {"is_temporary"}),
    ],
)
def test_what_an_error_is(code, reason, true):
    error = ApiError(code, reason, "")
    names = [name for name in dir(ApiError) if name.startswith("is_")]
    assert {name for name in names if getattr(error, name)} == true


def test_a_kind_whose_definition_is_being_deleted_is_told_from_a_missing_right():
    ending = 'httproutes "a" is forbidden: create not allowed while custom resource definition is terminating'
    assert ApiError(403, "Forbidden", ending).is_kind_ending
    assert not ApiError(403, "Forbidden", 'httproutes is forbidden: User "x" cannot create').is_kind_ending
    in_words = "create not allowed while custom resource definition is terminating"
    assert ApiError(405, "MethodNotAllowed", in_words).is_kind_ending


def test_a_kind_that_admission_has_yet_to_hear_of_is_told_from_a_missing_right() -> None:
    of_owner = 'controllerrevisions.apps "a" is forbidden: cannot set blockOwnerDeletion'
    unknown = f"{of_owner} in this case because cannot find RESTMapping for APIVersion embedding-operator.io/v1alpha1"
    assert ApiError(403, "Forbidden", unknown).is_kind_new
    denied = f"{of_owner} if an ownerReference refers to a resource you can't set finalizers on"
    assert not ApiError(403, "Forbidden", denied).is_kind_new


def test_an_object_that_is_not_there_is_told_from_a_kind_that_is_not() -> None:
    assert ApiError.from_response(404, {}, b"404 page not found\n").is_kind_missing
    assert ApiError(404, "NotFound", "the server could not find the requested resource").is_kind_missing
    assert not ApiError(404, "NotFound", 'modelcaches.embedding-operator.io "x" not found').is_kind_missing
