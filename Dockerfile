# Airflow with the data product inside: one image for api-server, scheduler, dag-processor and jobs.
# What changes seldom comes first; DAGs and pipeline, the parts that change daily, are the last and
# smallest layer. The commit and its time are labels on top of all: they would spoil the cache below.
#
# Two builds of one commit give the same bytes: files that a build makes bear one old date instead of
# its minute, and no directory is made by the way, as COPY would, with the minute on it.

FROM python:3.11-slim-bookworm AS packages
COPY requirements/airflow.txt /tmp/airflow.txt
# The environment gets no pip of its own, and every package is a wheel checked by its hash. The lock
# file is complete, so nothing is resolved; compiling on all processors halves what pip would take.
# Then goes what no task needs: tests, headers, Arrow's server for Flight, AWS's descriptions but for
# S3 and logging in, languages of dates but for English. What is left must import. Python looks for
# cyclic garbage less often: what Airflow imports is none, and looking was a seventh of each start.
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --no-input --disable-pip-version-check \
       --only-binary :all: --no-deps --no-compile --require-hashes -r /tmp/airflow.txt \
    && cd /opt/venv/lib/python3.11/site-packages \
    && find . -type d -name tests -prune -exec rm -rf {} + \
    && rm -rf pyarrow/include pyarrow/libarrow_flight.* pyarrow/libarrow_python_flight.* pyarrow/_flight.* \
    && find botocore/data -mindepth 1 -maxdepth 1 -type d \
       ! -name s3 ! -name sts ! -name sso ! -name sso-oidc ! -name signin -exec rm -rf {} + \
    && find babel/locale-data -name '*.dat' ! -name 'en*' ! -name root.dat -delete \
    && echo 'import gc; gc.set_threshold(50_000, 20, 20)' >gc.pth \
    && /opt/venv/bin/python -B -c 'import asyncpg, duckdb, numpy, pyarrow.dataset, pyarrow.fs, pyarrow.parquet, s3fs' \
    && PYTHONHASHSEED=0 python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib \
    && find /opt/venv -exec touch --no-dereference --date=@315532800 {} +

FROM python:3.11-slim-bookworm AS product
COPY pipeline /opt/brewline/pipeline
COPY dags /opt/brewline/dags
# Git keeps no more of a file's mode than whether it can be run: the rest is of who checked it out.
RUN PYTHONHASHSEED=0 python -m compileall -q --invalidation-mode unchecked-hash /opt/brewline \
    && chmod -R u=rwX,go=rX /opt/brewline \
    && find /opt/brewline -exec touch --no-dereference --date=@315532800 {} +

FROM python:3.11-slim-bookworm
# gid 0, so that a platform which gives containers a random uid can still write where the image lets it.
# The user is a line of its own making: useradd would note the day.
RUN echo 'airflow:x:50000:0::/home/airflow:/bin/bash' >>/etc/passwd \
    && install -d -o 50000 -g 0 -m 0775 /home/airflow /opt/airflow /opt/airflow/logs /opt/airflow/lake \
    && mkdir /opt/brewline /opt/venv \
    && PYTHONDONTWRITEBYTECODE=1 python -m pip uninstall --yes --quiet --root-user-action=ignore \
       pip setuptools wheel \
    && mkdir -p /usr/local/lib/python3.11/site-packages \
    && touch --date=@315532800 / /etc /etc/passwd /home /home/airflow /opt /opt/* /opt/airflow/* /tmp \
       /usr/local/bin /usr/local/lib/python3.11 /usr/local/lib/python3.11/site-packages
COPY --from=packages /opt/venv /opt/venv
# USER and HOME are also those of a uid that has no line in /etc/passwd: Airflow asks for a name.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/home/airflow \
    USER=airflow \
    PYTHONPATH=/opt/brewline \
    PYTHONUNBUFFERED=1 \
    AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/brewline/dags \
    AIRFLOW__CORE__LOAD_EXAMPLES=False
WORKDIR /opt/airflow
USER 50000:0
EXPOSE 8080
# Reaps orphans and hands signals on: to the command alone, which sees to its own children.
ENTRYPOINT ["dumb-init", "--single-child", "--"]
CMD ["airflow", "api-server", "--port", "8080"]
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://localhost:8080/api/v2/version', timeout=5)"]

COPY --from=product /opt/brewline /opt/brewline

ARG VERSION=0
ARG REVISION=unknown
ARG CREATED=unknown
ARG SOURCE
LABEL org.opencontainers.image.title="brewline" \
      org.opencontainers.image.description="Open Brewery DB to bronze, silver and gold, on Apache Airflow" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
