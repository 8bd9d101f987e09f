"""What is expected of the images that the Dockerfiles in `projects/` describe."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent / "projects"


@dataclass(frozen=True, kw_only=True)
class Project:
    """A Dockerfile with its context, how it is built, and what comes of it.

    `files` are modes and owners by path, `texts` the contents of files, `absent` what must not be
    there, `config` fields of the container, and `says` what its own command prints.
    """

    name: str
    variant: str = ""
    dockerfile: str = "Dockerfile"
    target: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[Path], None] | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    config: Mapping[str, object] = field(default_factory=dict)
    says: str | None = None


def _archives(folder: Path) -> None:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for name, permissions in (("in/secret", 0o600), ("in/tool", 0o755)):
            info = tarfile.TarInfo(name)
            info.mode, info.uid, info.gid, info.size = permissions, 5, 6, 4
            tar.addfile(info, io.BytesIO(b"tar\n"))
        link = tarfile.TarInfo("in/link")
        link.type, link.linkname = tarfile.SYMTYPE, "tool"
        tar.addfile(link)
    for kind, compress in (("gz", gzip.compress), ("xz", lzma.compress), ("bz2", bz2.compress)):
        (folder / f"payload.tar.{kind}").write_bytes(compress(plain.getvalue()))


PROJECTS = (
    Project(
        name="flask-app",
        files={"/srv/shop/shop/__init__.py": "644 0:0", "/opt/packages/flask": "755 0:0"},
        absent=("/srv/shop/Dockerfile", "/srv/shop/debug.log", "/srv/shop/.dockerignore"),
        config={"workdir": "/srv/shop", "ports": ["5000/TCP"], "env.FLASK_APP": "shop"},
        says="shop is open\n",
    ),
    Project(
        name="django-site",
        arguments={"APP_HOME": "/site"},
        files={"/site/manage.py": "644 999:999", "/site/public/site.css": "644 999:999"},
        absent=("/site/static",),
        config={"user": "django", "workdir": "/site", "args": ["check"]},
        says="check site.settings as True\n",
    ),
    Project(
        name="fastapi-uv",
        files={"/bin/uv": "755 0:0", "/code/.venv/bin/uvicorn": "755 0:0"},
        texts={
            "/code/.venv/pydantic": "wheel of pydantic\n",
            "/code/uv.lock": "fastapi\npydantic\n",
        },
        absent=("/root/.cache/uv/pydantic",),
        says="serving with app.main:app --host 0.0.0.0\n",
    ),
    Project(
        name="node-service",
        files={
            "/usr/src/app/out/server.js": "644 1000:1000",
            "/usr/src/app/node_modules": "755 1000:1000",
        },
        texts={"/usr/src/app/node_modules/.list": "module express\npruned\n"},
        absent=("/usr/src/app/src", "/usr/src/app/package.json"),
        config={"user": "node", "args": ["/bin/sh", "-c", 'cat out/server.js && echo "$NODE_ENV"']},
        says="LISTEN\nROUTES\nproduction\n",
    ),
    Project(
        name="go-static",
        arguments={"VERSION": "v1.9.0", "GO_VERSION": "1.23"},
        files={"/server": "555 0:0", "/etc/passwd": "644 0:0"},
        texts={"/server": "go1.23 linux/amd64 cgo=0 -s -w -X main.version=1.9.0\n"},
        absent=("/src", "/bin"),
        config={
            "user": "65534:65534",
            "entrypoint": ["/server"],
            "args": [],
            "ports": ["8080/TCP", "9090/TCP"],
            "env.PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "env.VERSION": None,
        },
    ),
    Project(
        name="rust-chef",
        absent=("/app/target", "/usr/local/bin/cargo"),
        says='name = "web"\nname = "workspace"\nfn main() {}\n',
    ),
    Project(
        name="java-maven",
        files={"/app/app.jar": "644 0:0", "/app/lib/spring.jar": "644 0:0"},
        absent=("/root/.m2/spring.jar", "/workspace"),
        config={
            "env.JAVA_OPTS": "",
            "env.MAVEN_OPTS": None,
            "health": ["30s", "3s", "1m0s", True, ["test -f /app/app.jar || exit 1"]],
        },
        says="src/main/java/App.java\njackson\nspring\n",
    ),
    Project(
        name="nginx-static",
        files={"/docker-entrypoint.sh": "775 0:0", "/etc/nginx/conf.d": "755 0:0"},
        texts={
            "/usr/share/nginx/html/about.html": "<p>\nabout us\n",
            "/etc/nginx/conf.d/default.conf": "server {\n    listen 8080;\n    location / { root "
            "/usr/share/nginx/html; try_files $uri /index.html; }\n}\n",
        },
        config={
            "label.org.opencontainers.image.description": "Static pages, served as they are",
            "ports": ["8080/TCP"],
        },
        says="would run: nginx -g daemon off;\n",
    ),
    Project(
        name="redis-official",
        files={"/data": "755 999:999", "/usr/local/bin/gosu": "755 0:0"},
        config={
            "workdir": "/data",
            "env.REDIS_DOWNLOAD_URL": "http://download.example/redis-7.2.5.tar.gz",
            "entrypoint": ["docker-entrypoint.sh"],
        },
        says="redis-server 7.2.5 as redis in /data\n",
    ),
    Project(
        name="postgres-official",
        files={
            "/run/postgresql": "3777 70:70",
            "/var/lib/postgresql/data": "1777 70:70",
            "/usr/local/bin/docker-entrypoint.sh": "755 0:0",
        },
        config={"env.PG_VERSION": "16.3-1.pgdg12+1", "ports": ["5432/TCP"], "args": ["postgres"]},
        says="postgres 16.3-1.pgdg12+1 in /var/lib/postgresql/data as postgres\n",
    ),
    Project(
        name="airflow-image",
        arguments={"AIRFLOW_VERSION": "2.10.0"},
        files={
            "/entrypoint": "664 50000:0",
            "/home/airflow/.local/bin/airflow": "710 50000:0",
            "/opt/airflow/logs": "755 50000:0",
        },
        absent=("/scripts",),
        config={
            "user": "50000",
            "workdir": "/opt/airflow",
            "args": [],
            "label.home": "airflow",
            "env.AIRFLOW_VERSION": None,
        },
        says="Airflow 2.10.0 [celery,postgres]\n50000\n",
    ),
    Project(
        name="jupyter-stack",
        arguments={"NB_USER": "ada"},
        files={"/home/ada/work": "6775 1000:100", "/opt/conda": "6775 1000:100"},
        config={
            "user": "1000",
            "workdir": "/home/ada",
            "ports": ["8888/TCP"],
            "health": ["3s", "1s", "3s", True, ["/etc/jupyter/docker_healthcheck.py || exit 1"]],
        },
        says="/home/ada\n100\n0022\n",
    ),
    Project(
        name="alpine-args",
        config={
            "env.TOOL_VERSION": "3.14.2-rc1",
            "env.TOOL_FILE": "tool_v3_14_2-rc1.tgz",
            "env.BASE_URL": None,
        },
        says="https://dl.example.test/v3.14.2/tool_v3_14_2-rc1.tgz\n"
        "v3.14 v3 v3.14.2+rc1 stable yes\n",
    ),
    Project(
        name="distroless",
        files={
            "/home/nonroot": "700 65532:65532",
            "/tmp": "1777 0:0",
            "/app/run": "500 65532:65532",
            "/app/settings": "755 0:65532",
            "/app/settings/settings.json": "644 0:65532",
        },
        absent=("/bin", "/usr"),
        config={"user": "nonroot", "workdir": "/home/nonroot", "args": ["/entry"]},
    ),
    Project(
        name="onbuild-base",
        arguments={"STAGE": "staging"},
        files={"/usr/src/app/package.list": "644 0:0"},
        config={"env.STAGE": "staging"},
        says="curl\nzlib\nstaging\nbuilt\n",
    ),
    Project(
        name="heredoc-scripts",
        arguments={"NAME": "you"},
        files={"/usr/bin/script": "750 7:8", "/etc/app/run.sh": "644 0:0"},
        texts={
            "/numbers": "1\n2\n3\n",
            "/indented": "indented\n",
            "/etc/app/expanded.conf": "hello you, $HOME\n",
            "/etc/app/plain.conf": "$GREETING ${NAME}\n",
        },
        absent=("/dev/pipes/PYTHON",),
        says="first hello\nsecond\nby python\n['one', 'two'] $NAME\n",
    ),
    Project(
        name="apt-caches",
        arguments={"PACKAGES": "htop tree"},
        absent=("/var/cache/apt/htop.deb", "/tmp/work"),
        says="htop\ntree\n42\n4096\n",
    ),
    Project(
        name="secret-token",
        secrets={"token": "open sesame"},
        absent=("/run/secrets/token", "/etc/netrc", "/both"),
        says="11\n11\n440 1001:7\n11\nnone\n",
    ),
    Project(
        name="bind-mounts",
        texts={"/context-listing": "Dockerfile\ntool.sh\n"},
        files={"/os-release": "644 0:0"},
        absent=("/mnt/deep", "/usr/bin/tool", "/other"),
        says="generated\n751\nread-only\ndeep new \ndeep\ntool ran\nread-only\n",
    ),
    Project(
        name="monorepo-parents",
        texts={
            "/manifests": "./package.json\n./packages/api/package.json\n"
            "./packages/web/package.json\n"
        },
        files={
            "/repo/packages/api/src/index.ts": "644 0:0",
            "/repo/packages/web/src/lib/deep.ts": "644 0:0",
            "/picked/web/package.json": "644 0:0",
            "/api/src/lib/deep.ts": "644 0:0",
        },
        absent=("/repo/packages/api/README.md", "/api/README.md", "/api/src/lib/deep.test.ts"),
    ),
    Project(
        name="nonroot-chown",
        files={
            "/srv/app": "755 10001:10002",
            "/srv/app/etc/conf": "755 10001:10002",
            "/srv/app/etc/conf/extra/more.ini": "644 10001:10002",
            "/srv/app/single/app.ini": "644 10001:10002",
            "/srv/numeric.ini": "644 10001:10001",
            "/srv/app/run": "755 10001:10002",
            "/srv/app/run/app.ini": "644 0:0",
            "/srv/app/run/made": "644 10001:10002",
        },
        config={"workdir": "/srv/app/relative/10001", "user": "appuser:staff2"},
        says="10001\n10002\n/srv/app/relative/10001\n",
    ),
    Project(
        name="health-probes",
        target="probed",
        config={"health": ["1m30s", "500ms", "2m0s", False, ["test", "-e", "/ready"]]},
    ),
    Project(
        name="health-probes",
        variant="overridden",
        target="shell-probed",
        config={"health": ["0s", "0s", "0s", True, ["test -e /ready || exit 1"]]},
    ),
    Project(name="health-probes", variant="taken away", config={"health": None}),
    Project(name="multi-target", target="dev", absent=("/app/stage",), says="mode dev\n"),
    Project(
        name="multi-target",
        variant="last",
        texts={"/app/stage": "prod\n"},
        config={"env.TARGETSTAGE": None},
        says="mode prod\n",
    ),
    Project(
        name="version-choice",
        config={"env.PICKED": "slim", "env.TAG": "env"},
        says="picked=slim variant=unset\nvariant=slim tag=own\ntag=env\ntag=late\n"
        "inherited variant=slim\n",
    ),
    Project(
        name="version-choice",
        variant="other base",
        arguments={"VARIANT": "full", "TAG": "bookworm-slim"},
        config={"env.PICKED": "full"},
        says="picked=full variant=unset\nvariant=full tag=bookworm-slim\ntag=env\n"
        "tag=bookworm-slim\ninherited variant=full\n",
    ),
    Project(
        name="windows-escape",
        files={"/app/a.txt": "644 0:0", "/app/b.txt": "644 0:0"},
        config={
            "env.QUOTED": 'a "b"',
            "label.path": "C:\\tools\\",
            "label.dollar": "$DRIVE",
            "workdir": "/app",
        },
        says="C:\\tools\\\n",
    ),
    Project(
        name="archive-add",
        prepare=_archives,
        files={
            "/unpacked/in/secret": "600 5:6",
            "/unpacked/in/tool": "755 5:6",
            "/owned": "755 12:13",
            "/owned/in/secret": "600 12:13",
            "/packed/payload.tar.gz": "644 0:0",
            "/copied/payload.tar.bz2": "644 0:0",
            "/mixed/in/tool": "755 5:6",
            "/mixed/plain.txt": "644 0:0",
            "/there/in/tool": "755 5:6",
        },
        texts={"/plain.tar.gz": "plain\n", "/unpacked/in/link": "tar\n"},
        absent=("/mixed/payload.tar.bz2", "/unpacked/payload.tar.gz"),
    ),
    Project(
        name="ignore-rules",
        files={
            path: "644 0:0"
            for path in (
                *("/all/keep.txt", "/all/docs/guide.md", "/all/docs/api/v1.md", "/all/xy.swp"),
                *("/docs/guide.md", "/docs/api/v1.md"),
            )
        },
        absent=(
            *("/all/secrets", "/all/a.tmp", "/all/sub/cache", "/all/cache", "/all/docs/draft.md"),
            *("/all/docs/api/internal.md", "/all/x.swp", "/all/Dockerfile", "/docs/draft.md"),
        ),
        texts={"/all/sub/b.tmp": "sub/b.tmp\n"},
    ),
    Project(
        name="ignore-rules",
        variant="of another Dockerfile",
        dockerfile="worker.Dockerfile",
        files={"/keep.txt": "644 0:0"},
        absent=("/secrets", "/docs", "/worker.Dockerfile"),
    ),
    Project(
        name="chmod-forms",
        files={
            "/symbolic/plain": "644 0:0",
            "/symbolic/script": "755 0:0",
            "/symbolic/deep": "755 0:0",
            "/octal": "640 0:0",
            "/setuid": "4755 0:0",
            "/added": "715 0:0",
            "/private": "600 0:0",
            "/new": "755 3:4",
            "/new/added": "700 3:4",
        },
    ),
    Project(
        name="php-composer",
        files={
            "/var/www/html": "1777 33:33",
            "/var/www/html/public/index.php": "644 33:33",
            "/usr/local/bin/docker-php-entrypoint": "755 0:0",
        },
        says="php-fpm monolog docker-php-ext-intl.ini docker-php-ext-pdo.ini\n",
    ),
    Project(
        name="rails-app",
        files={"/rails/log": "755 1000:1000", "/rails/public/assets/manifest": "644 0:0"},
        texts={"/rails/public/assets/manifest": "production 1\n"},
        absent=("/usr/local/bundle/ruby/3.3.0/cache", "/usr/local/bin/bundle"),
        config={"user": "1000:1000", "env.SECRET_KEY_BASE_DUMMY": None},
        says="rails server as rails, may write: log \n",
    ),
    Project(
        name="dotnet-service",
        arguments={"BUILD_CONFIGURATION": "Debug"},
        files={"/app": "755 1654:1654"},
        config={
            "user": "1654",
            "ports": ["8080/TCP", "8081/TCP", "9000/UDP", "9001/UDP", "9002/UDP"],
        },
        says="Debug\n<Project/>\nclass Common;\npublished Debug\n",
    ),
    Project(
        name="tool-collection",
        files={"/opt/fetch": "755 0:0", "/opt/base/debian_version": "644 0:0"},
        says="helm 3.15\nkubectl 1.30\nterraform 1.8\n",
    ),
)
