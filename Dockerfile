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

# Without what the image never runs: native code of other systems and its sources, the compiler of workflow code (lib has it compiled), types, source maps.
FROM base AS dependencies
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
  && find node_modules/@temporalio/core-bridge/releases -mindepth 1 -maxdepth 1 ! -name "$(uname -m)-unknown-linux-gnu" -exec rm -r {} + \
  && rm -r node_modules/@temporalio/core-bridge/sdk-core node_modules/@libsql/*-musl node_modules/@swc \
  && find node_modules -name '*.map' -delete -o -name '*.d.ts' -delete -o -name '*.d.?ts' -delete

# Node's image without npm, yarn and headers.
FROM debian:bookworm-slim AS worker
# The native library reads the system's certificates, which the slim image does not have: for TLS to Temporal. Node needs libatomic1 on some processors.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends ca-certificates libatomic1 \
  && rm -rf /var/lib/apt/lists/* \
  && groupadd --gid 1000 node \
  && useradd --uid 1000 --gid node --create-home node
COPY --from=base /usr/local/bin/node /usr/local/bin/
ENV NODE_ENV=production
WORKDIR /app
COPY package.json ./
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/lib lib
# A volume that is mounted here for the first time takes over whose it is.
RUN mkdir /watch && chown node:node /watch
USER node
ENTRYPOINT ["node", "lib/app/main.js"]
CMD ["worker"]
