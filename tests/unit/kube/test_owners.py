"""Whose an object is."""

import pytest

from embedding_operator.kube.owners import is_former_ones, is_ours, owner_of
from tests.unit.kube.given import DESIRED, OWNER, observed

APPLIED = {"manager": "embedding-operator", "operation": "Apply"}


@pytest.mark.parametrize(
    ("existing", "ours"),
    [
        (observed(), True),
        (observed(ownerReferences=[{**OWNER, "uid": "an older life of x"}]), True),
        (observed(labels={}), True),
        (observed(ownerReferences=[]), True),
        (observed(ownerReferences=[], labels={}), False),
        (observed(ownerReferences=[], labels={}, managedFields=[APPLIED]), True),
        (observed(ownerReferences=[], labels={}, managedFields=[{**APPLIED, "operation": "Update"}]), True),
        (observed(ownerReferences=[], labels={}, managedFields=[{**APPLIED, "manager": "helm"}]), False),
        (observed(ownerReferences=[], labels={"app.kubernetes.io/managed-by": "Helm"}), False),
        (observed(ownerReferences=[{**OWNER, "name": "y", "uid": "u7"}]), False),
    ],
)
def test_whose_it_is(existing, ours):
    assert is_ours(existing, DESIRED) is ours


@pytest.mark.parametrize(
    ("owners", "former"),
    [
        ([OWNER], False),
        ([{**OWNER, "uid": "an older life of x"}], True),
        ([{**OWNER, "uid": "an older life of x"}, OWNER], False),
        ([], False),
    ],
)
def test_what_a_former_owner_left(owners, former):
    assert is_former_ones(observed(ownerReferences=owners), DESIRED) is former
    shared = {**DESIRED, "metadata": {**DESIRED["metadata"], "ownerReferences": []}}
    assert not is_former_ones(observed(ownerReferences=owners), shared)


def test_shared_objects_without_owners_are_ours_by_label_and_only_while_nobody_owns_them():
    shared = {**DESIRED, "metadata": {**DESIRED["metadata"], "ownerReferences": []}}
    assert is_ours(observed(ownerReferences=[]), shared)
    assert not is_ours(observed(), shared)


@pytest.mark.parametrize(
    ("existing", "words"),
    [
        (observed(ownerReferences=[{"kind": "Rollout", "name": "r", "uid": "u"}]), "Rollout r"),
        (
            observed(ownerReferences=None, labels={"app.kubernetes.io/managed-by": "Helm"}),
            "Helm (its label app.kubernetes.io/managed-by)",
        ),
        (
            observed(
                ownerReferences=None,
                labels=None,
                managedFields=[{"manager": "kubectl-create"}, {"manager": "kubectl-edit"}],
            ),
            "somebody else (last written by kubectl-create, kubectl-edit)",
        ),
        (observed(ownerReferences=None, labels=None), "somebody else"),
    ],
)
def test_owners_are_named_for_users(existing, words):
    assert owner_of(existing) == words
