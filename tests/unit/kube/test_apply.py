"""Whose an object is."""

import pytest

from embedding_operator.kube.apply import is_ours, owner_of
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
