"""What becomes of a RuntimeProfile that an installation brings as its values."""

from typing import Any

import pytest

from embedding_operator.planning import siteprofiles
from embedding_operator.planning.profiles import CPU

HERE = "platform/embedding-operator"
BY = "embedding-operator.io/installed-by"
DEFAULT = "embedding-operator.io/default-profile"


def wish(**metadata: Any) -> dict[str, Any]:
    return dict(siteprofiles.desired("cpu", {"metadata": {"name": "cpu", **metadata}, "spec": CPU["spec"]}, HERE))


def stored(managers: tuple[str, ...] = ("embedding-operator",), **annotations: str) -> dict[str, Any]:
    entries = [{"manager": manager} for manager in managers]
    labels = {"app.kubernetes.io/managed-by": "embedding-operator", "team": "a"}
    metadata = {"name": "cpu", "uid": "u", "resourceVersion": "7", "managedFields": entries, "labels": labels}
    return {**CPU, "metadata": metadata | {"annotations": annotations}}


def test_it_is_marked_as_the_operators_and_as_this_installations() -> None:
    metadata = wish(labels={"team": "b"}, annotations={DEFAULT: "true"})["metadata"]
    assert metadata["labels"] == {"team": "b", "app.kubernetes.io/managed-by": "embedding-operator"}
    assert metadata["annotations"] == {DEFAULT: "true", BY: HERE}


@pytest.mark.parametrize(
    ("existing", "whose"),
    [
        (stored(**{BY: HERE}), ""),
        (stored(("embedding-operator", "kubectl-edit"), **{BY: HERE}), ""),
        (stored(), ""),  # a built-in one, as it was made
        (stored(("embedding-operator", "kubectl-edit")), "was written by kubectl-edit"),
        (stored(("flux", "argocd-controller")), "was written by argocd-controller, flux"),
        (stored(**{BY: "other/release"}), "belongs to the installation other/release"),
    ],
)
def test_only_its_own_and_untouched_built_in_ones_are_written(existing: dict[str, Any], whose: str) -> None:
    assert siteprofiles.stranger(existing, HERE) == whose


def test_without_a_record_of_who_wrote_it_a_profile_is_somebody_elses() -> None:
    existing = stored()
    del existing["metadata"]["managedFields"]
    assert siteprofiles.stranger(existing, HERE) != ""


@pytest.mark.parametrize(
    ("existing", "wished", "in_force"),
    [
        (stored(), wish(), True),
        (stored(**{BY: "other/release"}), wish(), True),  # there is nothing to be done about it
        (stored(note="x"), wish(), True),
        (stored(**{DEFAULT: "true"}), wish(), False),
        (stored(), wish(annotations={DEFAULT: "true"}), False),
        (stored(), wish(labels={"team": "b"}), False),
        (stored(), wish(annotations={"note": ["x"]}), False),  # what is against it is the API server's to say
        ({**stored(), "spec": {}}, wish(), False),
    ],
)
def test_what_is_in_force_is_not_written(existing: dict[str, Any], wished: dict[str, Any], in_force: bool) -> None:
    assert siteprofiles.is_in_force(existing, wished) is in_force


def test_a_replacement_says_what_the_values_say_and_leaves_others_labels() -> None:
    existing = {**stored(note="x", **{DEFAULT: "true"}), "spec": {"pod": {"hostMounts": ["/driver"]}}}
    written = siteprofiles.replacement(existing, wish())
    assert written["spec"] == CPU["spec"]
    assert written["metadata"]["annotations"] == {"note": "x", BY: HERE}
    assert written["metadata"]["labels"]["team"] == "a"
    assert (written["metadata"]["uid"], written["metadata"]["resourceVersion"]) == ("u", "7")
    assert siteprofiles.is_in_force(written, wish())
    assert existing["metadata"]["annotations"][DEFAULT] == "true"  # what is cached was not changed


GOLD = {"gold": wish(annotations={DEFAULT: "true"})}


@pytest.mark.parametrize(
    ("existing", "wishes", "superseded"),
    [
        (stored(**{BY: HERE, DEFAULT: "true"}), GOLD, True),
        (stored(**{BY: HERE, DEFAULT: "true"}), {"gold": wish()}, False),  # none is marked in its place
        (stored(**{BY: HERE, DEFAULT: "true"}), GOLD | {"cpu": wish()}, False),  # what the values say of it is done
        (stored(**{BY: HERE}), GOLD, False),
        (stored(**{BY: "other/release", DEFAULT: "true"}), GOLD, False),
        (stored(**{DEFAULT: "true"}), GOLD, False),  # an administrator marked it
    ],
)
def test_what_was_the_default_of_the_values_is_not_beside_another_one(
    existing: dict[str, Any], wishes: dict[str, dict[str, Any]], superseded: bool
) -> None:
    assert siteprofiles.is_superseded(existing, wishes, HERE) is superseded
    written = siteprofiles.unmarked(existing)
    assert DEFAULT not in written["metadata"]["annotations"]
    assert (written["spec"], written["metadata"]["resourceVersion"]) == (CPU["spec"], "7")
    assert not siteprofiles.is_superseded(written, wishes, HERE)
