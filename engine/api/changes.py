"""Fields of Changeset and DiffStat, and those of Directory that make or apply changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine import changes as changing
from engine import files, merging, patches
from engine.api.arguments import look
from engine.calls import field
from engine.changes import Changeset
from engine.exports import export_directory
from engine.lazy import Lazy
from engine.model import Directory, File
from engine.root import Root
from engine.snapshot import EMPTY, Snapshot

if TYPE_CHECKING:
    from engine.session import Session

_PATCH = "/diff.patch"


@dataclass(frozen=True, slots=True)
class DiffStat:
    """How one path changed."""

    path: str
    kind: str
    lines: patches.Lines


@field("Directory", "diff")
async def diff(session: Session, directory: Directory, other: Directory) -> Directory:
    """What the other directory added or changed, and the directories where it removed something."""
    return changing.layer(session, changing.changeset(session, directory, other), touched=True)


@field("Directory", "changes")
async def changes(session: Session, directory: Directory, **given: Directory) -> Changeset:
    """The changes from another directory to this one."""
    return changing.changeset(session, given["from"], directory)  # no name that Python allows


@field("Query", "changeset")
async def no_changes(session: Session, _: None) -> Changeset:
    """No changes."""
    empty = Directory(Lazy.of(EMPTY))
    return changing.changeset(session, empty, empty)


@field("Directory", "withChanges")
async def with_changes(session: Session, directory: Directory, changes: Changeset) -> Directory:
    """The directory with changes made to it."""
    return changing.applied(session, directory, changes)


@field("Directory", "withPatch")
async def with_patch(session: Session, directory: Directory, patch: str) -> Directory:
    """The directory after a patch in git's format."""
    return patches.patched(session, directory, patch.encode("utf-8", "surrogateescape"))


@field("Directory", "withPatchFile")
async def with_patch_file(session: Session, directory: Directory, patch: File) -> Directory:
    """The directory after the patch in a file."""

    def read(root: Root) -> bytes:
        files.check_file(root, patch.path, patch.shown or patch.path.lstrip("/"))
        return root.read(patch.path)

    return patches.patched(session, directory, await look(session, patch.snapshot, read))


@field("Changeset", "sync")
async def sync(session: Session, held: Changeset) -> None:
    """Work both directories out."""
    await held.before.snapshot.get()
    await held.after.snapshot.get()


@field("Changeset", "before")
async def before(session: Session, held: Changeset) -> Directory:
    """The older directory."""
    return held.before


@field("Changeset", "after")
async def after(session: Session, held: Changeset) -> Directory:
    """The newer directory."""
    return held.after


@field("Changeset", "layer")
async def layer(session: Session, held: Changeset) -> Directory:
    """What was added or modified, in a directory of its own."""
    return changing.layer(session, held)


@field("Changeset", "isEmpty")
async def is_empty(session: Session, held: Changeset) -> bool:
    """Whether nothing changed."""
    return (await held.paths.get()).empty


@field("Changeset", "addedPaths")
async def added_paths(session: Session, held: Changeset) -> list[str]:
    """What was added, directories with a slash."""
    return list((await held.paths.get()).added)


@field("Changeset", "modifiedPaths")
async def modified_paths(session: Session, held: Changeset) -> list[str]:
    """The files that were modified."""
    return list((await held.paths.get()).modified)


@field("Changeset", "removedPaths")
async def removed_paths(session: Session, held: Changeset) -> list[str]:
    """What was removed; of a directory only itself, with a slash."""
    return list((await held.paths.get()).gone)


@field("Changeset", "asPatch")
async def as_patch(session: Session, held: Changeset) -> File:
    """The changes as a patch in git's format."""

    async def compute() -> Snapshot:
        made = await patches.patch(session, held)
        text = made.decode("utf-8", "surrogateescape")
        return await files.with_new_file(session.snapshots, Lazy.of(EMPTY), _PATCH, text).get()

    return File(Lazy(compute), _PATCH)


@field("Changeset", "diffStats")
async def diff_stats(session: Session, held: Changeset) -> list[DiffStat]:
    """How each path changed, in the order of their names."""
    paths = await held.paths.get()
    counts = await patches.line_counts(session, held)
    kinds = dict.fromkeys(paths.added, "ADDED")
    kinds |= dict.fromkeys(paths.modified, "MODIFIED")
    kinds |= dict.fromkeys(paths.removed, "REMOVED")
    for path, lines in counts.items():
        if lines.renamed_from:
            kinds[path] = "RENAMED"
            kinds.pop(lines.renamed_from, None)
    none = patches.Lines(0, 0)
    return [DiffStat(path, kinds[path], counts.get(path, none)) for path in sorted(kinds)]


@field("Changeset", "export")
async def export(session: Session, held: Changeset, path: str) -> str:
    """Make the changes to a folder of the client's machine; the folder's path."""
    target = session.host_path(path)
    gone = (await held.paths.get()).gone

    def write(root: Root) -> None:
        if target.is_dir():
            with Root(str(target)) as there:
                changing.remove_from(there, "/", gone)
        export_directory(root, "/", target, wipe=False)

    await look(session, changing.layer(session, held).snapshot, write)
    return str(target)


@field("Changeset", "withChangeset")
async def with_changeset(
    session: Session, held: Changeset, changes: Changeset, on_conflict: str = "FAIL"
) -> Changeset:
    """The changes of both, merged by git where they touch the same files."""
    return await merging.both(session, held, changes, on_conflict)


@field("Changeset", "withChangesets")
async def with_changesets(
    session: Session, held: Changeset, changes: Sequence[Changeset], on_conflict: str = "FAIL"
) -> Changeset:
    """The changes of all."""
    for each in changes:
        held = await merging.both(session, held, each, on_conflict)
    return held


@field("DiffStat", "path")
async def stat_path(session: Session, value: DiffStat) -> str:
    """The path, of a directory with a slash."""
    return value.path


@field("DiffStat", "oldPath")
async def stat_old_path(session: Session, value: DiffStat) -> str | None:
    """What a renamed file was called before."""
    return value.lines.renamed_from or None


@field("DiffStat", "kind")
async def stat_kind(session: Session, value: DiffStat) -> str:
    """ADDED, MODIFIED, REMOVED or RENAMED."""
    return value.kind


@field("DiffStat", "addedLines")
async def stat_added(session: Session, value: DiffStat) -> int:
    """How many lines were added."""
    return value.lines.added


@field("DiffStat", "removedLines")
async def stat_removed(session: Session, value: DiffStat) -> int:
    """How many lines were removed."""
    return value.lines.removed
