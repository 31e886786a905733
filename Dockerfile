# Targets: `cell` (what a model runs in: no network, no service code), `web` and `worker` (the service).
#   docker build --target cell --tag aiact-sandbox-cell .
# The base is an argument: any Debian with Python 3.11 or later. Where builds have no network of their own:
# docker build --network host.
ARG BASE_IMAGE=python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

FROM ${BASE_IMAGE} AS base
# OpenMP's runtime, for LightGBM; and one place for Python, wherever the base keeps it.
RUN if ! ldconfig -p | grep -q libgomp.so.1; then \
        apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*; \
    fi; \
    [ -e /usr/bin/python3 ] || ln -s "$(command -v python3)" /usr/bin/python3

FROM base AS tree
COPY sandbox/cell/requirements.txt /tmp/requirements.txt
RUN /usr/bin/python3 -m pip install --no-cache-dir --disable-pip-version-check --root-user-action ignore \
        --target /c/tree --require-hashes --no-deps --only-binary :all: --requirement /tmp/requirements.txt \
    && rm /tmp/requirements.txt \
    && mkdir -p /c/code /c/model /c/upload /c/socket \
    && find / -xdev -perm /6000 -type f -exec chmod a-s {} +

# From nothing, so that no environment variable of the base reaches a cell; no file in it has setuid.
FROM scratch AS cell
COPY --from=tree / /
USER 65534:65534
ENTRYPOINT []
CMD ["/usr/bin/python3", "--version"]

FROM base AS service
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv python3-pip libseccomp2 bubblewrap util-linux postgresql-client \
    && rm -rf /var/lib/apt/lists/* \
    && /usr/bin/python3 -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir --disable-pip-version-check uv
WORKDIR /srv/aiact-sandbox
ENV UV_PROJECT_ENVIRONMENT=/opt/aiact-sandbox UV_PYTHON=/usr/bin/python3 UV_NO_CACHE=1 UV_NATIVE_TLS=1
# What is locked first: it changes less often than our code.
COPY pyproject.toml uv.lock ./
RUN /opt/uv/bin/uv sync --frozen --no-dev --no-install-project --all-extras
COPY README.md LICENSE Dockerfile ./
COPY checks checks
COPY model_cards model_cards
COPY sandbox sandbox
RUN /opt/uv/bin/uv sync --frozen --no-dev --no-editable --all-extras
# Nobody is root. Web and worker share files, so they are one user (aiact); what opens the engine's socket is another's, of
# the same group, and so is MLflow, of neither.
RUN groupadd --gid 10000 aiact && useradd --no-create-home --home-dir /tmp --uid 10000 --gid aiact aiact \
    && useradd --no-create-home --home-dir /tmp --uid 10002 --gid aiact aiact-engine \
    && useradd --no-create-home --home-dir /tmp --uid 10001 --user-group aiact-mlflow \
    && install -d -m 0711 -o aiact -g aiact /var/lib/aiact-sandbox \
    && install -d -m 0750 -o aiact-engine -g aiact /run/engine \
    && install -d -m 0700 -o aiact-mlflow -g aiact-mlflow /mlflow
ENV PATH=/opt/aiact-sandbox/bin:/usr/local/bin:/usr/bin:/bin AIACT_SANDBOX_STATE=/var/lib/aiact-sandbox HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib
USER 10000:10000
VOLUME /var/lib/aiact-sandbox

# No engine, and it opens no upload.
FROM service AS web
ENV AIACT_SANDBOX_LISTEN=0.0.0.0:8080 AIACT_SANDBOX_WORKER_BESIDE=0 AIACT_SANDBOX_ACCOUNTS=local
EXPOSE 8080
CMD ["aiact-sandbox", "serve"]

# Its engine is reached through the next one; the state lies under the same path as on that machine.
FROM service AS worker
CMD ["aiact-sandbox", "worker"]

# Alone opens the engine's socket, by the group that is given to it where it is started.
FROM service AS engine-proxy
USER 10002:10000
CMD ["aiact-sandbox", "engine-proxy", "--listen", "/run/engine/engine.sock"]

# Knows neither state nor engine.
FROM service AS mlflow
COPY docs/operating/serve-mlflow /usr/local/bin/serve-mlflow
ENV MLFLOW_ACCOUNTS=sqlite:////mlflow/accounts.db
USER 10001:10001
EXPOSE 5000
CMD ["serve-mlflow", "--host", "0.0.0.0", "--port", "5000", "--workers", "1", \
     "--backend-store-uri", "sqlite:////mlflow/mlflow.db", "--artifacts-destination", "/mlflow/artifacts"]
