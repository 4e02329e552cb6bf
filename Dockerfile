# The service, and with the command `webhook` its guard. For amd64 and arm64:
#   docker buildx build --platform linux/amd64,linux/arm64 --tag REGISTRY/dynamic-toolset:VERSION --push .
# Both bases have the same Python, or what is compiled for one would not load in the other. The second holds Python and no
# shell, no package manager, no compiler.
ARG BUILDER=docker.io/library/python:3.11-slim-bookworm
ARG BASE=gcr.io/distroless/python3-debian12:nonroot

FROM ${BUILDER} AS build
WORKDIR /src
COPY requirements/build.txt requirements/image.txt requirements/
# Every file that is installed is known by its hash; setuptools only builds the project, and is left behind.
RUN python3 -m pip install --no-cache-dir --no-deps --require-hashes --target /app -r requirements/image.txt \
 && python3 -m pip install --no-cache-dir --no-deps --require-hashes --target /build -r requirements/build.txt
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY toolset toolset
COPY process process
COPY sidecar sidecar
COPY webhook webhook
# Programs are started by the Python of the base. The client's asynchronous half is as large as all that is used of it, and
# not used. Byte code is made here once: the file system is read-only later.
RUN PYTHONPATH=/build python3 -m pip install --no-cache-dir --no-deps --no-build-isolation --target /app --upgrade . \
 && sed -i '1s|^#!.*|#!/usr/bin/python3|' /app/bin/dynamic-toolset \
 && rm -rf /app/kubernetes/aio \
 && find /app/bin -type f ! -name dynamic-toolset -delete \
 && find /app -type d \( -name tests -o -name test -o -name __pycache__ \) -prune -exec rm -rf {} + \
 && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /app

# The bill of materials: what is installed, by version and hash (CycloneDX). The tool that writes it stays behind.
FROM ${BUILDER} AS bom
WORKDIR /src
COPY requirements/image.txt requirements/audit.txt requirements/
RUN python3 -m pip install --no-cache-dir --no-deps --require-hashes --target /audit -r requirements/audit.txt \
 && PYTHONPATH=/audit python3 -m cyclonedx_py requirements requirements/image.txt --output-reproducible --of JSON -o /sbom.cdx.json

FROM ${BASE}
ARG VERSION=0.1.0
ARG COMMIT
LABEL org.opencontainers.image.title="dynamic-toolset" \
      org.opencontainers.image.description="Finds a cluster's observability backends and writes HolmesGPT's toolset file" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /app /app
COPY --from=bom /sbom.cdx.json /app/sbom.cdx.json
# glibc keeps a heap for each of many threads otherwise.
ENV PATH=/app/bin:/usr/bin:/bin \
    MALLOC_ARENA_MAX=2 \
    DYNAMIC_TOOLSET_COMMIT=${COMMIT} \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1
USER 65532:65532
EXPOSE 8080 9090
ENTRYPOINT ["/app/bin/dynamic-toolset"]
CMD ["run"]
