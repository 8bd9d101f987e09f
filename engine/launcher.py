"""The executable that the SDK starts as if it were the Dagger CLI."""

from __future__ import annotations

import shlex
from pathlib import Path

SBIN = "/usr/sbin:/sbin"
"""Where ip and iptables live: a shell that is not root's own often lacks it."""

NAMESPACES = (
    *("unshare", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"),
    # An init reaps what containers leave, and hands the engine's exit status on.
    *("catatonit", "--"),
)
"""What the engine runs in: a process and a mount namespace of its own.

When the first of its processes is gone, by `kill -9` too, the kernel removes the rest.
"""

_SCRIPT = """\
#!/bin/sh
export PATH="$PATH:{sbin}" PYTHONPATH={program} {variables}
# Half of the start would be compiling, where Python is told to keep no bytecode.
export PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX={bytecode}
# Straight to the engine, unless something is in the way that `session` has to tell of, or the
# client has a terminal to be remembered.
if [ "$1" = session ] && [ -O / ] && command -v catatonit >/dev/null &&
    ! {{ [ -t 9 ] 9<>/proc/$PPID/fd/0; }} 2>/dev/null; then
    shift
    exec setsid --wait {namespaces} {python} -P -m engine.start "$@"
fi
exec {python} -P -m engine "$@"
"""


def script(
    program: Path, python: str, bytecode: Path, variables: dict[str, str] | None = None
) -> str:
    """The launcher's text: it runs the engine that lies in `program`, wherever the caller stands.

    Bytecode is kept in the folder of that name.

    A session of its own keeps the terminal's Ctrl-C away from the engine, which ends in good
    order when its input closes.
    """
    assignments = (f"{name}={shlex.quote(value)}" for name, value in (variables or {}).items())
    return _SCRIPT.format(
        sbin=SBIN,
        program=shlex.quote(str(program)),
        variables=" ".join(assignments),
        bytecode=shlex.quote(str(bytecode)),
        namespaces=shlex.join(NAMESPACES),
        python=shlex.quote(python),
    )
