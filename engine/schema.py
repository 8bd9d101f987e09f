"""The API's GraphQL schema, derived from the installed SDK so that the two never drift.

It is worked out once for each version of the SDK and kept in the store: see `definitions`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EngineError
from engine.kept import kept

if TYPE_CHECKING:
    from engine.typesystem import TypeSystem


def sdk_version() -> str:
    """The version of the SDK that the schema is taken from."""
    import importlib.metadata  # takes longer than all that is needed to answer a client

    return importlib.metadata.version("dagger-io")


def version() -> str:
    """What stands for the schema: it changes with the SDK and with how it is read."""
    status = client_source().stat()
    facts = f"{status.st_size} {status.st_mtime_ns}".encode()
    made_by = Path(__file__).with_name("definitions.py").read_bytes()
    return hashlib.sha256(made_by + facts).hexdigest()[:16]


def client_source() -> Path:
    """The SDK's generated client.

    Raises EngineError if the SDK is not installed. The SDK is not imported: that takes 0.7 s.
    """
    spec = importlib.util.find_spec("dagger")
    if spec is None or spec.origin is None:
        raise EngineError("the Dagger SDK (dagger-io) is not installed")
    return Path(spec.origin).parent / "client" / "gen.py"


def load(folder: Path) -> TypeSystem:
    """The types of the installed SDK, by the table that is kept in `folder`."""

    from engine.typesystem import TypeSystem  # a client is answered before it is needed

    def make() -> bytes:
        from engine.definitions import sdl, table

        return json.dumps(table(sdl(client_source().read_text()))).encode()

    return TypeSystem.from_json(json.loads(kept(folder / f"types-{version()}.json", make)))


def introspection(folder: Path) -> bytes:
    """The answer to the SDK's introspection query, as JSON; kept in `folder`."""

    def make() -> bytes:
        from graphql import build_schema, introspection_from_schema

        from engine.definitions import sdl

        schema = build_schema(sdl(client_source().read_text()), assume_valid=True)
        answer = introspection_from_schema(
            schema, descriptions=False, input_value_deprecation=False
        )
        return json.dumps({"data": answer}, separators=(",", ":")).encode()

    return kept(folder / f"introspection-{version()}.json", make)


def greeting(folder: Path) -> bytes:
    """The answer to the question for the version, which the SDK asks to see if we are there."""

    def make() -> bytes:
        return json.dumps({"data": {"version": f"v{sdk_version()}"}}).encode()

    return kept(folder / f"greeting-{version()}.json", make)
