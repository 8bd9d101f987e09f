"""Turns of true processes: who holds one, who waits, and what becomes of it when a holder dies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from ci.errors import InfrastructureError
from ci.turns import turn

pytestmark = pytest.mark.anyio

HOLD = """
import sys, anyio
from pathlib import Path
from ci.turns import turn
async def main():
    async with turn(Path(sys.argv[1]), sys.argv[2], print):
        print("held", flush=True)
        await anyio.sleep_forever()
anyio.run(main)
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_another_run_waits_until_the_holder_is_gone_however_it_ends(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "lock"
    said: list[str] = []
    command = [sys.executable, "-c", HOLD, str(file), "00ff"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with anyio.move_on_after(0.5) as limit:
            async with turn(file, "00ff", said.append):
                pass
        assert limit.cancelled_caught
        assert len(said) == 1
        async with turn(file, "00fe", said.append):
            assert len(said) == 1
        holder.kill()
        with anyio.fail_after(60):
            async with turn(file, "00ff", said.append):
                pass


async def test_a_folder_that_cannot_be_written_is_infrastructure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InfrastructureError, match="XDG_CACHE_HOME"):
        async with turn(tmp_path / "file" / "lock", "00", print):
            pass
