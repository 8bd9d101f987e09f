"""A client of the engine without the SDK, which starts in a tenth of the time: for many kills.

`python -m tests.engine.light ENGINE FOLDER NAME` runs execs on the root file system in FOLDER, one
for each of COUNT seeds that start with NAME. It prints what each exec answered or how it failed,
and ends when the engine does.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import subprocess
import sys
from typing import Any

COUNT = 5

# Every kind of change that a layer knows: a new file, a removed one, a folder, a slow end.
SCRIPT = "cat /seed > /copy; mkdir -p /d; cat /copy > /d/copy; rm /seed; echo done; sleep 0.05"


def seed(name: str, number: int) -> str:
    """A text that tells by itself whether it is whole."""
    text = f"{name} {number}"
    return f"{text} {hashlib.sha256(text.encode()).hexdigest()}"


def is_whole(text: str) -> bool:
    """Whether a text is a whole seed."""
    name, number, _ = text.split(" ")
    return text == seed(name, int(number))


class Engine:
    """A session of an engine that is a child of this process."""

    def __init__(self, launcher: str) -> None:
        self._process = subprocess.Popen(
            [launcher, "session"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        found = json.loads(self._process.stdout.readline())
        self._port = found["port"]
        token = base64.b64encode(f"{found['session_token']}:".encode()).decode()
        self._headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}

    def ask(self, query: str) -> dict[str, Any]:
        """The response to a query. Raises OSError or HTTPException when the engine is gone."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        try:
            connection.request("POST", "/query", json.dumps({"query": query}), self._headers)
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer
        finally:
            connection.close()

    def close(self) -> None:
        """End the session and wait for the engine's end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def ran(root: str, text: str) -> str:
    """The query for an exec on a root file system with a seed."""
    args = json.dumps(["sh", "-c", SCRIPT])
    return (
        f'{{container{{withRootfs(directory:"{root}")'
        f'{{withNewFile(path:"/seed",contents:{json.dumps(text)})'
        f'{{withExec(args:{args}){{stdout file(path:"/copy"){{contents}}}}}}}}}}}}'
    )


def main(launcher: str, folder: str, name: str) -> None:
    engine = Engine(launcher)
    try:
        found = engine.ask(f"{{host{{directory(path:{json.dumps(folder)}){{id}}}}}}")
        root = found["data"]["host"]["directory"]["id"]
        for number in range(COUNT):
            answer = engine.ask(ran(root, seed(name, number)))
            data, errors = answer["data"], answer.get("errors")
            if errors:
                print("failed:", errors[0]["message"], flush=True)
                continue
            result = data["container"]["withRootfs"]["withNewFile"]["withExec"]
            assert result["stdout"] == "done\n", result
            print(result["file"]["contents"], flush=True)
    except (OSError, http.client.HTTPException):
        print("the engine is gone", flush=True)
    finally:
        engine.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
