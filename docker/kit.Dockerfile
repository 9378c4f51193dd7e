# The kit's images: one static program each and nothing else. `cargo xtask dist` makes them.
#
#   docker build --file docker/kit.Dockerfile --target verify DIRECTORY    DIRECTORY holds the unpacked archive
#
# The classic builder runs every stage up to its target.

FROM scratch AS proxy
LABEL org.opencontainers.image.title="resp-proxy" \
      org.opencontainers.image.description="Faults between an application and its Redis or Valkey, command by command" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY resp-proxy /
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["/resp-proxy"]

FROM scratch AS verify
LABEL org.opencontainers.image.title="ratelimiter-verify" \
      org.opencontainers.image.description="A verdict on any rate limiter, with the smallest witness" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY ratelimiter-verify /
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["/ratelimiter-verify"]
