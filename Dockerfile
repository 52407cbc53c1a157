# Two stages: the first compiles, the second runs compiled JavaScript as an unprivileged user.
ARG BASE_IMAGE=node:24-bookworm-slim

FROM ${BASE_IMAGE} AS build
# For a registry behind a proxy with its own authority: the path of a bundle in the base image.
ARG NODE_EXTRA_CA_CERTS
WORKDIR /sluice
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src src
COPY workers workers
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM ${BASE_IMAGE}
ENV NODE_ENV=production \
    SLUICE_HTTP=0.0.0.0:8780 \
    SLUICE_ADMISSION_HTTP=0.0.0.0:8080
WORKDIR /sluice
COPY --from=build /sluice/node_modules node_modules
COPY --from=build /sluice/dist dist
COPY package.json CHANGELOG.md ./
COPY bin bin
COPY migrations migrations
COPY src/admission/page/assets src/admission/page/assets
COPY config config
# Numeric, so that Kubernetes can check runAsNonRoot.
USER 1000:1000
# The relay's port, and that of waiting rooms.
EXPOSE 8780 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "Promise.any([8780, 8080].map(p => fetch(`http://127.0.0.1:${p}/livez`))).then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Exec form: the daemon is process 1 and gets SIGTERM itself. Give it more than SLUICE_SHUTDOWN_GRACE_MS to stop.
ENTRYPOINT ["node", "bin/sluice"]
CMD ["run"]
