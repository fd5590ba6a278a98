# The operator's image; the staging Jobs run it too. `docker build .` is all it takes.
# pip, compilers and sources stay in the first stages; the last holds Python, certificates and the installed packages.
ARG BASE=docker.io/library/debian:trixie-slim

FROM ${BASE} AS dependencies
RUN apt-get update -q \
 && apt-get install -q -y --no-install-recommends ca-certificates python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv --without-pip /opt/venv && python3 -m venv /opt/build
COPY requirements.lock images/requirements-wheel.lock /src/
# A package index with a certificate authority of its own: pass the bundle as the secret `certificates`.
RUN --mount=type=secret,id=certificates \
    if [ -s /run/secrets/certificates ]; then export PIP_CERT=/run/secrets/certificates; fi \
 && /opt/build/bin/pip install -q --require-hashes -r /src/requirements-wheel.lock \
 && /opt/build/bin/pip --python /opt/venv/bin/python install -q --no-compile --require-hashes --only-binary :all: -r /src/requirements.lock \
 && /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/venv/lib

FROM dependencies AS build
COPY pyproject.toml README.md LICENSE /src/
COPY crds/ /src/crds/
COPY operator/ /src/operator/
RUN /opt/build/bin/pip wheel -q --no-deps --no-build-isolation --wheel-dir /wheels /src \
 && /opt/build/bin/pip --python /opt/venv/bin/python install -q --no-compile --no-deps --no-index --root /installed /wheels/*.whl \
 && /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash -s /installed /installed

FROM ${BASE}
RUN apt-get update -q \
 && apt-get install -q -y --no-install-recommends ca-certificates python3 tzdata \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*
# two layers, because the second, small one is all that most releases change
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=build /installed/ /
ENV PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TZ=UTC HOME=/nonexistent
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/opt/venv/bin/embedding-operator"]
CMD ["--help"]
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="embedding-operator" \
      org.opencontainers.image.description="A Kubernetes operator for multi-node Ascend-NPU embedding deployments with vLLM" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
