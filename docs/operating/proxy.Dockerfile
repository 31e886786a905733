# The reverse proxy as an ordinary user: its program without the capability that its image gives it, and its folders its own.
ARG CADDY_IMAGE=caddy:2.10-alpine@sha256:4c6e91c6ed0e2fa03efd5b44747b625fec79bc9cd06ac5235a779726618e530d
FROM ${CADDY_IMAGE}
RUN cp /usr/bin/caddy /usr/bin/plain && mv /usr/bin/plain /usr/bin/caddy \
    && mkdir -p /data /config && chown 10003:10003 /data /config && chmod 700 /data /config
COPY Caddyfile /etc/caddy/Caddyfile
USER 10003:10003
