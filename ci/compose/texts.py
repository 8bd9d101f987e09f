"""`configs` and `secrets`: mounted files, their text from a file, a variable or written inline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ci.compose.nodes import Node
from ci.compose.types import MountedText

# Text by the name of a config or secret.
Texts = Mapping[str, str]


def declared(node: Node, *, secret: bool) -> Texts:
    """The top-level `configs` or `secrets`, read; raises ComposeError where a source is missing."""
    kind = "secret" if secret else "config"
    sources: dict[str, Callable[[Node], str]] = {"file": _file, "environment": _variable}
    if not secret:
        sources["content"] = Node.string
    texts = {}
    for name, entry in node.mapping().items():
        fields = entry.fields(f"{kind} {name}", *sources, "name", "labels")
        given = [key for key in sources if key in fields]
        if len(given) != 1:
            raise entry.error(f"{kind} {name} wants one of {', '.join(sources)}")
        texts[name] = sources[given[0]](fields[given[0]])
    return texts


def mounted(node: Node, texts: Texts, *, secret: bool) -> MountedText:
    """One entry of a service's `configs` or `secrets`: a name, or a mapping."""
    kind = "secret" if secret else "config"
    fields = {"source": node}
    if node.is_mapping():
        fields = node.fields(f"{kind}s", "source", "target", "uid", "gid", "mode")
        if "source" not in fields:
            raise node.error(f"a {kind} in long form wants source")
    name = fields["source"].string()
    if name not in texts:
        raise node.error(f"{kind} {name!r} is not declared")
    target = fields["target"].string() if "target" in fields else name
    folder = "/run/secrets/" if secret else "/"
    owner = [fields[key].string() if key in fields else "0" for key in ("uid", "gid")]
    return MountedText(
        name=name,
        target=target if target.startswith("/") else folder + target,
        text=texts[name],
        secret=secret,
        owner=":".join(owner),
        mode=_mode(fields["mode"]) if "mode" in fields else 0o444,
    )


def _mode(node: Node) -> int:
    try:
        return int(node.text(), 8)
    except ValueError:
        raise node.error(f"a mode such as 0440 is wanted here, not {node.text()!r}") from None


def _file(node: Node) -> str:
    return read_beside(node, Path(node.string()))


def read_beside(node: Node, path: Path) -> str:
    """The text of a file that is named relative to the compose file."""
    try:
        return (node.document.path.parent / path).read_text(encoding="utf-8")
    except OSError as error:
        raise node.error(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise node.error(f"{path} cannot be read: it is no text in UTF-8") from error


def _variable(node: Node) -> str:
    name = node.string()
    if name not in node.document.environ:
        raise node.error(f"variable {name} is not set")
    return node.document.environ[name]
