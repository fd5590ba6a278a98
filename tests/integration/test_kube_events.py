"""Events on a real API server: what people see in kubectl describe, and that telling never holds up."""

import asyncio
import contextlib

import pytest

from embedding_operator.kube.events import Recorder
from embedding_operator.kube.resources import CONFIG_MAPS, EVENTS, key_of

from .kube_support import Wire, client_of, config_map, namespace_of


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@contextlib.asynccontextmanager
async def running(recorder):
    task = asyncio.create_task(recorder.run())
    try:
        yield recorder
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def recorder(client, clock):
    async with running(Recorder(client, instance="pod-1", clock=clock)) as recorder:
        yield recorder


@pytest.fixture
async def subject(client, namespace):
    return await client.apply(config_map(namespace, "subject"))


async def told(client, namespace):
    return (await client.list(EVENTS, namespace)).items


async def test_an_event_says_what_happened_to_what(client, namespace, recorder, subject):
    recorder.emit(subject, "Warning", "ChecksumMismatch", "Stage", "model.safetensors: wrong sha256")
    await recorder.flush()
    [event] = await told(client, namespace)
    assert {name: event[name] for name in ("type", "reason", "action", "note", "reportingInstance")} == {
        "type": "Warning",
        "reason": "ChecksumMismatch",
        "action": "Stage",
        "note": "model.safetensors: wrong sha256",
        "reportingInstance": "pod-1",
    }
    assert event["reportingController"] == "embedding-operator.io/operator"
    assert event["regarding"]["uid"] == subject["metadata"]["uid"]
    assert event["regarding"]["name"] == "subject"
    assert "series" not in event


async def test_repetitions_become_a_series(client, namespace, recorder, subject):
    for _ in range(4):
        recorder.emit(subject, "Normal", "Staged", "Stage", "the same")
        await recorder.flush()
    recorder.emit(subject, "Normal", "Staged", "Stage", "something else")
    await recorder.flush()
    events = {event["note"]: event for event in await told(client, namespace)}
    assert set(events) == {"the same", "something else"}
    assert events["the same"]["series"]["count"] == 4


async def test_repetitions_in_a_burst_are_counted_in_one_request(client, namespace, recorder, subject):
    client.requests.clear()
    for _ in range(1000):
        recorder.emit(subject, "Normal", "Staged", "Stage", "the same")
    await recorder.flush()
    [event] = await told(client, namespace)
    assert event["series"]["count"] == 1000
    assert client.requests["create", "Event"] == 1


async def test_after_the_window_it_is_told_anew(client, namespace, recorder, subject, clock):
    recorder.emit(subject, "Normal", "Staged", "Stage", "the same")
    await recorder.flush()
    clock.now = 601
    recorder.emit(subject, "Normal", "Staged", "Stage", "the same")
    await recorder.flush()
    assert len(await told(client, namespace)) == 2


async def test_an_event_that_the_server_forgot_is_told_anew(client, namespace, recorder, subject):
    recorder.emit(subject, "Normal", "Staged", "Stage", "the same")
    await recorder.flush()
    [event] = await told(client, namespace)
    await client.delete(key_of(event))
    recorder.emit(subject, "Normal", "Staged", "Stage", "the same")
    await recorder.flush()
    [again] = await told(client, namespace)
    assert again["series"]["count"] == 2


async def test_an_object_that_flaps_is_silenced_and_others_are_not(client, namespace, recorder, subject, clock):
    other = await client.apply(config_map(namespace, "other"))
    for number in range(40):
        recorder.emit(subject, "Normal", "Flap", "Flap", f"round {number}")
    recorder.emit(other, "Normal", "Fine", "Look", "heard")
    await recorder.flush()
    notes = [event["note"] for event in await told(client, namespace)]
    assert len(notes) == 26
    assert "heard" in notes
    assert recorder.dropped == 15

    clock.now = 300  # one more every five minutes
    recorder.emit(subject, "Normal", "Flap", "Flap", "later")
    recorder.emit(subject, "Normal", "Flap", "Flap", "too soon")
    await recorder.flush()
    assert {event["note"] for event in await told(client, namespace)} - set(notes) == {"later"}


@pytest.mark.parametrize("note", ["x" * 5000, "é" * 5000, "x" * 1024, "€" * 342])
async def test_long_notes_are_cut_to_what_the_server_takes(client, namespace, recorder, subject, note):
    recorder.emit(subject, "Normal", "Long", "Tell", note)
    await recorder.flush()
    [event] = await told(client, namespace)
    assert recorder.dropped == 0
    assert event["note"] == note or (event["note"].endswith("…") and note.startswith(event["note"][:-1]))


async def test_events_about_cluster_scoped_objects_are_in_the_default_namespace(client, recorder, subject):
    profile = {
        "apiVersion": "embedding-operator.io/v1alpha1",
        "kind": "RuntimeProfile",
        "metadata": {"name": "cpu", "uid": subject["metadata"]["uid"]},
    }
    recorder.emit(profile, "Normal", "Adopted", "Adopt", "profile cpu adopted")
    await recorder.flush()
    events = [e for e in await told(client, "default") if e["regarding"].get("uid") == subject["metadata"]["uid"]]
    assert [e["regarding"]["kind"] for e in events] == ["RuntimeProfile"]
    await client.delete(key_of(events[0]))


async def test_nothing_waits_while_the_api_server_is_away_and_it_recovers(control_plane, tmp_path):
    wire = Wire(control_plane.url)
    async with (
        wire.relaying(control_plane.kubeconfig, tmp_path) as kubeconfig,
        client_of(kubeconfig, timeout=0.3) as client,
        namespace_of(client) as namespace,
        running(Recorder(client, instance="pod-1", capacity=10)) as recorder,
    ):
        subjects = [await client.apply(config_map(namespace, f"s{number}")) for number in range(15)]
        wire.stall()
        for subject in subjects:
            recorder.emit(subject, "Normal", "Gone", "Try", "while away")
        assert recorder.dropped == 5  # the queue is full, and emit came back all the same
        await recorder.flush()
        assert recorder.dropped == 15
        wire.cut()
        wire.resume()
        recorder.emit(subjects[0], "Normal", "Back", "Try", "after")
        await recorder.flush()
        assert [e["note"] for e in await told(client, namespace) if e["reason"] == "Back"] == ["after"]
        assert len((await client.list(CONFIG_MAPS, namespace)).items) >= len(subjects)
