"""A stand-in for the model hubs: ModelScope's REST API and that of the Hugging Face Hub, over real files, with faults
that can be switched.

    hub = ModelHub(root)                      # root/<owner>/<name>/...          is revision master
    with hub:                                 # root/<owner>/<name>@<tag>/...    is revision <tag>
        hub.url                               # give this to a client as endpoint
        hub.fault("corrupt", match="*.safetensors", times=1)
        hub.requests                          # what was asked, and how many bytes went out

As a process, in a pod: `python -m tests.standins.modelhub --root DIR --port N` (standard library only).
Faults are switched there by HTTP: `POST /__control__/faults` with a list of objects as in faults.py, and
`GET /__control__/requests` tells what was asked. `DELETE /__control__/faults` makes the hub honest again.
"""

from .faults import Fault, Faults
from .server import ModelHub, Request

__all__ = ["Fault", "Faults", "ModelHub", "Request"]
