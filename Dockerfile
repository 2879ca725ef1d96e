# Everything: sources, compiler and tests. compose.override.yaml develops in it.
FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
COPY server/package.json server/
RUN npm ci
COPY LICENSE ./
COPY server server
RUN npm run build --workspace server

FROM build AS development
USER node
CMD ["npm", "run", "dev"]

# What the service runs on, and no more.
FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
COPY server/package.json server/
# TypeScript would come along as an optional peer of what compiles MJML, which never asks for it.
RUN npm ci --omit=dev && rm -rf node_modules/typescript node_modules/@typescript

FROM node:24-slim AS production
WORKDIR /app
COPY --from=dependencies /app ./
COPY --from=build /app/server/dist server/dist
RUN ln -s /app/server/dist/main.js /usr/local/bin/postern
RUN install -d -o node -g node -m 700 /var/lib/postern
ENV HOST=0.0.0.0 PORT=3000 DATA_DIR=/var/lib/postern
VOLUME /var/lib/postern
EXPOSE 3000
USER node
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/readyz`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# The exec form: SIGTERM reaches Postern itself, which then finishes what is in flight.
CMD ["postern", "start"]
