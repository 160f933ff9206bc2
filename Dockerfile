# The image of the service. `docker build .` makes the CPU image (OpenVINO, no torch);
# `docker build --target gpu .` the one with torch and CUDA. docs/deployment.md says more.
#
# Pin the base by digest where policy asks for it:
#   docker build --build-arg BASE_IMAGE=python:3.12-slim-bookworm@sha256:<digest> .
ARG BASE_IMAGE=python:3.12-slim-bookworm

# ---------------------------------------------------------------- environments
# A mirror of the package index and its certificate come as secrets, which stay out of every layer:
#   docker build --secret id=pip_config,src=pip.conf --secret id=ca_bundle,src=ca.pem .
FROM ${BASE_IMAGE} AS base
ENV LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONHASHSEED=0 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_NO_COMPILE=1
WORKDIR /build
RUN python3 -m venv /opt/venv

FROM base AS packages-gpu
COPY requirements/gpu.txt requirements/
RUN --mount=type=secret,id=pip_config,target=/etc/pip.conf \
    --mount=type=secret,id=ca_bundle,target=/run/ca_bundle.pem \
    /opt/venv/bin/pip install --require-hashes --no-deps -r requirements/gpu.txt && /opt/venv/bin/pip check

FROM base AS packages-cpu
COPY requirements/cpu.txt requirements/
RUN --mount=type=secret,id=pip_config,target=/etc/pip.conf \
    --mount=type=secret,id=ca_bundle,target=/run/ca_bundle.pem \
    /opt/venv/bin/pip install --require-hashes --no-deps -r requirements/cpu.txt && /opt/venv/bin/pip check

# ---------------------------------------------------------------- roots without tools
FROM packages-gpu AS root-gpu
ARG SOURCE_DATE_EPOCH=0
COPY pyproject.toml README.md LICENSE ./
COPY service service
RUN /opt/venv/bin/pip install --no-index --no-deps --no-build-isolation .
COPY model_store /opt/cxr-triage/model_store
COPY deploy/image/assemble.py ./
RUN python3 assemble.py /rootfs --epoch "${SOURCE_DATE_EPOCH}"

FROM packages-cpu AS root-cpu
ARG SOURCE_DATE_EPOCH=0
COPY pyproject.toml README.md LICENSE ./
COPY service service
RUN /opt/venv/bin/pip install --no-index --no-deps --no-build-isolation .
COPY model_store /opt/cxr-triage/model_store
COPY deploy/image/assemble.py ./
RUN python3 assemble.py /rootfs --epoch "${SOURCE_DATE_EPOCH}"

# ---------------------------------------------------------------- images
FROM scratch AS runtime
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG BASE_IMAGE
LABEL org.opencontainers.image.title="cxr-triage" \
      org.opencontainers.image.description="Reads frontal chest radiographs and says which to open first. Research use only. Not a medical device." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin \
    LANG=C.UTF-8 \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    CXR_MODE=shadow \
    CXR_SERVER__HOST=0.0.0.0 \
    CXR_MODEL__STORE=/opt/cxr-triage/model_store \
    CXR_MODEL__CACHE_DIR=/var/cache/cxr-triage \
    CXR_RECORD__URL=sqlite:////var/lib/cxr-triage/shadow.db \
    CXR_RECORD__SITE_KEY_FILE=/var/lib/cxr-triage/site.key
WORKDIR /var/lib/cxr-triage
USER 10001:10001
EXPOSE 8000
VOLUME ["/var/lib/cxr-triage", "/var/cache/cxr-triage"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python3", "-I", "-m", "service.healthcheck"]
ENTRYPOINT ["cxr-triage"]
CMD ["serve"]

FROM runtime AS gpu
LABEL org.opencontainers.image.title="cxr-triage-gpu"
COPY --from=root-gpu /rootfs /

# Last, so that it is what `docker build .` makes.
FROM runtime AS cpu
COPY --from=root-cpu /rootfs /
