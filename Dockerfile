# The controller as one static program in an image with nothing else but certificate authorities. deploy/image/build
# makes the same without a container engine: change them together.
#
# docker buildx build --platform linux/arm64 --tag cloudop-controller .
#
# Each platform is built on itself: give buildx a node of that kind, or it emulates one, slowly.

ARG RUST_VERSION=1.95.0
FROM rust:${RUST_VERSION}-trixie AS build
ARG RUST_VERSION
ARG TARGETARCH
# What rust-toolchain.toml asks for beside is for developers.
ENV RUSTUP_TOOLCHAIN=${RUST_VERSION}
RUN apt-get update \
 && apt-get install --yes --no-install-recommends musl-tools \
 && rm -rf /var/lib/apt/lists/* \
 && rustup target add "$(uname -m)-unknown-linux-musl"
# Writes the list of all dependencies into the program, for SBOMs and scanners.
RUN cargo install cargo-auditable --locked --version 0.7.7
WORKDIR /source
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY src src
COPY tests/simulator tests/simulator
COPY tests/support tests/support
# The allocator refuses to run where pages are larger than those it was built for; arm64 has kernels with 64 KiB.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target,id=target-${TARGETARCH} \
    target="$(uname -m)-unknown-linux-musl" \
 && if [ "$(uname -m)" = aarch64 ]; then export JEMALLOC_SYS_WITH_LG_PAGE=16; fi \
 && cargo auditable build --locked --release --target "$target" --bin cloudop-controller \
 && cp "target/$target/release/cloudop-controller" /cloudop-controller

FROM scratch
ARG VERSION=0.1.0
ARG REVISION
LABEL org.opencontainers.image.title="cloudop-controller" \
      org.opencontainers.image.description="Follows a cloud's long-running operations to their end" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.url="https://cloudop.dev" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /cloudop-controller /cloudop-controller
# A number, so that the kubelet can see that it isn't root.
USER 65532:65532
ENTRYPOINT ["/cloudop-controller"]
