"""What a restart of the machine means for a store.

Layers are written by overlays mounted `volatile`: fast, but a crash of the machine (not of the
engine) may leave those files empty that the kernel had not written back yet.
"""

from __future__ import annotations

from pathlib import Path

from engine.liveness import remove

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Linux writes dirty pages back after 30 s, looking every 5 s.
_WRITE_BACK_SECONDS = 60


def distrust(store: Path, temporary: Path) -> None:
    """Remove the layers and blobs that were finished just before the machine went down."""
    stamp, boot = store / "boot", _BOOT_ID.read_text().strip()
    found = stamp.read_text() if stamp.exists() else None
    if found == boot:
        return
    if found is not None:
        # When one came into place its inode changed, and never after that.
        contents = [*store.glob("layers/*"), *store.glob("blobs/*")]
        made = {path: path.lstat().st_ctime for path in contents}
        last = max(made.values(), default=0.0)
        for path, when in made.items():
            if when > last - _WRITE_BACK_SECONDS:
                path.rename(temporary / path.name)
                remove(temporary / path.name)
    # By a rename: an engine that is killed here must not look like a reboot to the next.
    draft = temporary / "boot"
    draft.write_text(boot)
    draft.rename(stamp)
