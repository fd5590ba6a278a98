# The operator's image; the staging Jobs run it too. `docker build .` is all it takes, for amd64 and arm64 alike.
# Installers, the wheel's backend and sources stay in the first stage; the last holds Python, certificates and packages.
ARG BASE=docker.io/library/debian:trixie-slim

FROM ${BASE} AS build
RUN apt-get update -q \
 && apt-get install -q -y --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
# A mirror of the package index. One with a certificate authority of its own: pass the bundle as the secret `certificates`.
ARG INDEX=
ENV UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1 PYC_INVALIDATION_MODE=UNCHECKED_HASH PATH=/opt/build/bin:/usr/sbin:/usr/bin:/sbin:/bin
COPY requirements.lock images/requirements-build.lock /src/
RUN --mount=type=secret,id=certificates \
    if [ -s /run/secrets/certificates ]; then export PIP_CERT=/run/secrets/certificates SSL_CERT_FILE=/run/secrets/certificates; fi \
 && if [ -n "${INDEX}" ]; then export PIP_INDEX_URL="${INDEX}" UV_DEFAULT_INDEX="${INDEX}"; fi \
 && python3 -m venv /opt/build \
 && pip install -q --no-cache-dir --disable-pip-version-check --no-compile \
      --require-hashes --only-binary :all: -r /src/requirements-build.lock \
 && uv venv -q --python /usr/bin/python3 /opt/venv \
 && uv pip install -q --python /opt/venv/bin/python --require-hashes --only-binary :all: -r /src/requirements.lock
# of pyarrow, which offline inference reads and writes Parquet with, what nothing here loads: 70 of its 170 MB
RUN cd /opt/venv/lib/python3.*/site-packages/pyarrow \
 && rm -rf tests include includes src ./*.pyx ./*.pxd ./*.pxi libarrow_flight.* libarrow_python_flight.* libarrow_s3.* \
      _flight.* _s3fs.* _gcsfs.* _azurefs.* _hdfs.* _orc.* _dataset_orc.* _pyarrow_cpp_tests.* \
      libarrow_python.so libarrow_python.so.*.* libarrow_python_parquet_encryption.so libarrow_python_parquet_encryption.so.*.* \
 && /opt/venv/bin/python -P -c 'import pyarrow.parquet'
COPY pyproject.toml README.md LICENSE /src/
COPY crds/ /src/crds/
COPY operator/ /src/operator/
COPY images/sbom.py /src/images/
RUN uv build -q --wheel --offline --no-build-isolation --python /opt/build/bin/python --out-dir /wheels /src \
 && uv pip install -q --offline --no-deps --python /opt/venv/bin/python --prefix /installed /wheels/*.whl \
 && rm -f /installed/.lock

FROM ${BASE}
# nobody in this image becomes anybody else: no program changes its user
RUN apt-get update -q \
 && apt-get install -q -y --no-install-recommends ca-certificates python3 tzdata \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
# two layers, because the second, small one is all that most releases change
COPY --from=build /opt/venv /opt/venv
COPY --from=build /installed/ /opt/venv/
ENV PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TZ=UTC HOME=/nonexistent
# the list of all parts, as they were installed: Python's and Debian's
RUN --mount=type=bind,from=build,source=/opt/build,target=/opt/build \
    --mount=type=bind,from=build,source=/src,target=/src \
    mkdir -p /usr/share/sbom \
 && /opt/build/bin/python /src/images/sbom.py /opt/venv/bin/python /src/pyproject.toml /usr/share/sbom/embedding-operator.cdx.json
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/opt/venv/bin/embedding-operator"]
CMD ["--help"]
ARG BASE
ARG BASE_DIGEST=
ARG VERSION=0.1.0
ARG REVISION=
ARG CREATED=
ARG SOURCE=
LABEL org.opencontainers.image.title="embedding-operator" \
      org.opencontainers.image.description="A Kubernetes operator for multi-node Ascend-NPU embedding deployments with vLLM" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.documentation="${SOURCE:+${SOURCE}/tree/${REVISION:-main}/docs}" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.base.digest="${BASE_DIGEST}"
