# The host. From the repository's root:
#   docker build -f deploy/docker/host.Dockerfile --target host -t authloop-host .
#   docker build -f deploy/docker/host.Dockerfile --target chromium -t authloop-host-chromium .
# `host` works with a browser elsewhere (`--cdp`); `chromium` brings one (`launch`). Whoever runs
# either can read what users type: run it where the agent's browser runs, under the same owner.
ARG RUST_IMAGE=rust:1.95.0-slim-bookworm
ARG BASE_IMAGE=debian:bookworm-slim

# hadolint ignore=DL3006
FROM ${RUST_IMAGE} AS build
ARG SOURCE_DATE_EPOCH=0
ENV SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} \
    CARGO_INCREMENTAL=0 \
    CARGO_PROFILE_RELEASE_STRIP=symbols \
    RUSTFLAGS="--remap-path-prefix=/src=. --remap-path-prefix=/usr/local/cargo=cargo"
# OpenH264 and libjpeg-turbo are built from the crates' sources; libvpx is Debian's.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends cmake g++ libvpx-dev make nasm pkg-config \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package authloop-host --bin authloop-host

# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS host
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates libvpx7 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/release/authloop-host /usr/local/bin/authloop-host
COPY --from=build /src/LICENSE-APACHE /src/LICENSE-MIT /usr/share/doc/authloop-host/
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/authloop-host"]
CMD ["serve"]

FROM host AS chromium
USER 0
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends chromium fonts-liberation fonts-noto-cjk fonts-noto-color-emoji \
 && rm -rf /var/lib/apt/lists/*
# With a read-only root, give it a tmpfs at /tmp for the browser's profile, and one at /dev/shm of
# 256 MiB or more.
# Containers may not make user namespaces, without which Chromium has no sandbox of its own.
ENV HOME=/tmp AUTHLOOP_HOST_NO_SANDBOX=true
USER 65532:65532
CMD ["launch", "--headless"]
