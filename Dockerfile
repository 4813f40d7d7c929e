# The controller as one static program in an image with nothing else but certificate authorities; with --target
# cloudop-simulator the simulated clouds, as small; and with --target kubectl-cloudop kubectl and kubectl cloudop in an image
# with a shell, for steps of pipelines. deploy/image/build makes the same without a container engine: change them together.
#
# docker buildx build --platform linux/arm64 --tag cloudop-controller .
# docker buildx build --platform linux/arm64 --tag kubectl-cloudop --target kubectl-cloudop .
#
# Each platform is built on itself: give buildx a node of that kind, or it emulates one, slowly.

ARG RUST_VERSION=1.95.0
FROM rust:${RUST_VERSION}-trixie AS source
ARG RUST_VERSION
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
COPY benches/harness benches/harness
COPY cli cli
COPY tests/fuzz tests/fuzz
COPY tests/simulator tests/simulator
COPY tests/support tests/support

FROM source AS build-controller
ARG TARGETARCH
# The allocator refuses to run where pages are larger than those it was built for; arm64 has kernels with 64 KiB.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target,id=target-${TARGETARCH} \
    target="$(uname -m)-unknown-linux-musl" \
 && if [ "$(uname -m)" = aarch64 ]; then export JEMALLOC_SYS_WITH_LG_PAGE=16; fi \
 && cargo auditable build --locked --release --target "$target" --package cloudop --bin cloudop-controller \
 && cp "target/$target/release/cloudop-controller" /cloudop-controller

FROM source AS build-cli
ARG TARGETARCH
# What providers say, which the program quotes.
COPY docs docs
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target,id=target-${TARGETARCH} \
    target="$(uname -m)-unknown-linux-musl" \
 && cargo auditable build --locked --release --target "$target" --package cloudop-cli --bin kubectl-cloudop \
 && cp "target/$target/release/kubectl-cloudop" /kubectl-cloudop

# kubectl from the pins of the tests' control plane. Without the flags it would call itself v0.0.0.
FROM golang:1.26-trixie AS build-kubectl
WORKDIR /source
COPY tests/control-plane/go.mod tests/control-plane/go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    version="$(go list -m -f '{{.Version}}' k8s.io/kubernetes)" \
 && minor="${version#v1.}" \
 && about=k8s.io/component-base/version \
 && CGO_ENABLED=0 go build -trimpath -o /kubectl -ldflags \
      "-s -w -X $about.gitVersion=$version -X $about.gitMajor=1 -X $about.gitMinor=${minor%%.*}" k8s.io/kubernetes/cmd/kubectl

# Debian's BusyBox, its licence, and what scanners go by to know the package.
FROM debian:trixie-slim AS busybox
RUN apt-get update \
 && apt-get install --yes --no-install-recommends busybox-static ca-certificates \
 && mkdir -p /root/busybox/bin /root/busybox/etc/ssl/certs /root/busybox/tmp /root/busybox/var/lib/dpkg/status.d \
      /root/busybox/usr/share/doc/busybox-static \
 && cd /root/busybox \
 && chmod 1777 tmp \
 && cp "$(command -v busybox)" bin/busybox \
 && bin/busybox --list-full | while read -r applet; do \
      mkdir -p "$(dirname "$applet")"; \
      [ "$applet" = bin/busybox ] || ln -sf /bin/busybox "$applet"; \
    done \
 && cp /usr/share/doc/busybox-static/copyright usr/share/doc/busybox-static/ \
 && dpkg-query --status busybox-static >var/lib/dpkg/status.d/busybox-static \
 && cp /etc/os-release etc/ \
 && cp /etc/ssl/certs/ca-certificates.crt etc/ssl/certs/

FROM source AS build-simulator
ARG TARGETARCH
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target,id=target-${TARGETARCH} \
    target="$(uname -m)-unknown-linux-musl" \
 && cargo auditable build --locked --release --target "$target" --package cloudop-simulator --bin cloudop-simulator \
 && cp "target/$target/release/cloudop-simulator" /cloudop-simulator

FROM scratch AS cloudop-simulator
ARG VERSION=0.1.0
ARG REVISION
LABEL org.opencontainers.image.title="cloudop-simulator" \
      org.opencontainers.image.description="Simulated clouds, to rehearse a pipeline against" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.url="https://cloudop.dev" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=source /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build-simulator /cloudop-simulator /cloudop-simulator
USER 65532:65532
ENTRYPOINT ["/cloudop-simulator"]

FROM scratch AS kubectl-cloudop
ARG VERSION=0.1.0
ARG REVISION
LABEL org.opencontainers.image.title="kubectl-cloudop" \
      org.opencontainers.image.description="kubectl, kubectl cloudop and a shell, for steps of pipelines" \
      org.opencontainers.image.licenses="Apache-2.0 AND GPL-2.0-only" \
      org.opencontainers.image.url="https://cloudop.dev" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=busybox /root/busybox /
COPY --from=build-kubectl /kubectl /usr/local/bin/kubectl
COPY --from=build-cli /kubectl-cloudop /usr/local/bin/kubectl-cloudop
# kubectl keeps what it knows of a cluster below HOME.
ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp
USER 65532:65532
CMD ["/bin/sh"]

FROM scratch
ARG VERSION=0.1.0
ARG REVISION
LABEL org.opencontainers.image.title="cloudop-controller" \
      org.opencontainers.image.description="Follows a cloud's long-running operations to their end" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.url="https://cloudop.dev" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=source /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build-controller /cloudop-controller /cloudop-controller
# A number, so that the kubelet can see that it isn't root.
USER 65532:65532
ENTRYPOINT ["/cloudop-controller"]
