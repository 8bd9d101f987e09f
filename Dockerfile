# Airflow with the data product inside: one image for api-server, scheduler, dag-processor and jobs.
# What changes seldom comes first; DAGs and pipeline, the parts that change daily, are the last and
# smallest layers. The commit and the date are labels on top of all: they would spoil the cache below.

FROM python:3.11-slim-bookworm AS build
COPY requirements/airflow.txt /tmp/airflow.txt
# The environment gets no pip of its own, and every package is a wheel checked by its hash. The lock
# file is complete, so nothing is resolved; compiling on all processors halves what pip would take.
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --no-input --disable-pip-version-check \
       --only-binary :all: --no-deps --no-compile --require-hashes -r /tmp/airflow.txt \
    && python -m compileall -q -j 0 /opt/venv/lib

FROM python:3.11-slim-bookworm
# gid 0, so that a platform which gives containers a random uid can still write where the image lets it.
RUN useradd --uid 50000 --gid 0 --create-home --home-dir /home/airflow airflow \
    && install -d -o airflow -g root -m 0775 /opt/airflow /opt/airflow/logs /opt/airflow/lake \
    && python -m pip uninstall --yes --quiet --root-user-action=ignore pip setuptools wheel
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONPATH=/opt/brewline \
    PYTHONUNBUFFERED=1 \
    AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/brewline/dags \
    AIRFLOW__CORE__LOAD_EXAMPLES=False
WORKDIR /opt/airflow
USER 50000:0
EXPOSE 8080
CMD ["airflow", "api-server", "--port", "8080"]
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://localhost:8080/api/v2/version', timeout=5)"]

COPY pipeline /opt/brewline/pipeline
COPY dags /opt/brewline/dags

ARG VERSION=0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="brewline" \
      org.opencontainers.image.description="Open Brewery DB to bronze, silver and gold, on Apache Airflow" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
