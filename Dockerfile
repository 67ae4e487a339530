# syntax=docker/dockerfile:1
# The worker, and with it the whole `triggers` command: docker run … triggers --help

# Debian, not Alpine: Temporal's native library needs glibc.
FROM node:24-bookworm-slim AS base
WORKDIR /app
COPY package.json package-lock.json ./

# Compiles, and bundles the workflow code, so that a starting worker needs no webpack. No package's own script runs: everything works without.
FROM base AS build
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY src src
RUN npm run build

FROM base AS dependencies
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-bookworm-slim AS worker
# The native library reads the system's certificates, which the slim image does not have: for TLS to Temporal.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends ca-certificates \
  && rm -rf /var/lib/apt/lists/*
ENV NODE_ENV=production
WORKDIR /app
COPY package.json ./
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/lib lib
# A volume that is mounted here for the first time takes over whose it is.
RUN mkdir /watch && chown node:node /watch
USER node
ENTRYPOINT ["node", "lib/cli/main.js"]
CMD ["worker"]
