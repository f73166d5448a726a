# The backend: Director, Image repository and operator plane in one process. The image holds Node, the
# libraries that it links, the project's sources (Node runs TypeScript) and the packages of production.
#
#   docker build -t ev-ota . && docker compose up       with an engine; compose.yaml says what to prepare
#   make container                                      without one, and without a registry of images

# Any image with Node 24.6 or newer, npm and a shell.
ARG BUILDER=node:24-bookworm-slim

FROM ${BUILDER} AS build
# Where npm gets its packages and whom it trusts, when it is not npm's own default.
ARG NPM_CONFIG_REGISTRY
ARG NPM_CONFIG_CAFILE
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm install --no-save --omit=dev --ignore-scripts
COPY tsconfig.json LICENSE ./
COPY agent agent
COPY hal hal
COPY backend backend
RUN backend/container/assemble-root.sh /root-of-image

FROM scratch
LABEL org.opencontainers.image.title="ev-ota backend" \
  org.opencontainers.image.description="Director and Image repository of an Uptane 2.1.0 update system" \
  org.opencontainers.image.licenses="MIT"
COPY --from=build /root-of-image /
# /keys: online keys, device CAs and Roots of the ceremony, read only. /state: database and images.
ENV PATH=/bin NODE_ENV=production OTA_KEYS=/keys OTA_STATE=/state OTA_HOST=0.0.0.0
USER 10001:10001
WORKDIR /app
VOLUME ["/state"]
EXPOSE 8000 8001 8002 8883
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
  CMD ["/bin/node", "/app/backend/container/health.ts"]
ENTRYPOINT ["/bin/node", "/app/backend/main.ts"]
