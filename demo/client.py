"""Runs inside the cluster: asks an OpenAI-compatible endpoint for embeddings and prints them as JSON.

Standard library only, alone in its file: `python3 - BASE_URL MODEL TEXTS_AS_JSON < client.py`.
"""

import json
import sys
import urllib.request

base, model, texts = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
request = urllib.request.Request(
    f"{base}/embeddings",
    data=json.dumps({"model": model, "input": texts}).encode(),
    headers={"Content-Type": "application/json"},
)
with urllib.request.urlopen(request, timeout=120) as response:
    data = json.load(response)["data"]
print(json.dumps([row["embedding"] for row in sorted(data, key=lambda row: row["index"])]))
