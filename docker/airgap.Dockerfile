# The store's image where no registry can be reached. `cargo xtask up --airgap` lays out the context: this machine's own
# valkey-server or redis-server with the libraries it needs, and airgap-cli.bash as `valkey-cli`.
FROM scratch
ARG LIBRARY_PATH
LABEL org.opencontainers.image.title="store of this machine" \
      ratelimiter-demo.part="store"
COPY . /
ENV LD_LIBRARY_PATH=$LIBRARY_PATH
WORKDIR /data
EXPOSE 6379
USER 65534:65534
CMD ["valkey-server"]
