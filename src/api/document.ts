import swagger, { type SwaggerTransform } from '@fastify/swagger';
import type { FastifyContextConfig, FastifyInstance } from 'fastify';
import { createJsonSchemaTransform } from 'fastify-type-provider-zod';
import { release } from '../config/release.ts';
import { isRecord } from '../domain/json.ts';
import { capital } from '../words/text.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The bodies that a route takes besides JSON, by content type, as JSON schemas. */
    otherBodies?: Readonly<Record<string, object>>;
    /** Whether a body may be left out. */
    bodyIsOptional?: boolean;
  }
}

/**
 * Describes all routes that are added after this: OpenAPI 3.1 at `/openapi.json`.
 * @param withPage also a page to read and try it, at `/docs`.
 */
export async function document(app: FastifyInstance, withPage: boolean): Promise<void> {
  const described = createJsonSchemaTransform({
    skipList: ['/docs', '/docs/*', '/docs/json', '/docs/yaml', '/docs/static/*', '/openapi.json'],
    zodToJsonConfig: { unrepresentable: 'any' },
  });
  const configs = new Map<string, Pick<FastifyContextConfig, 'otherBodies' | 'bodyIsOptional'>>();
  const transform: SwaggerTransform = (route) => {
    const { schema, url } = described(route);
    if (schema === undefined || schema.hide === true) return { schema, url };
    const operationId = nameOf(route.route.method, url);
    configs.set(operationId, route.route.config ?? {});
    return { schema: { operationId, ...schema }, url };
  };
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'audience-triggers',
        version: release(),
        description: 'Tells other systems, by webhook, when a person enters or leaves an audience.',
        license: { name: 'MIT', url: 'https://opensource.org/license/mit' },
      },
      servers: [{ url: '/' }],
      components: { securitySchemes: { apiKey: { type: 'http', scheme: 'bearer' } } },
      security: [{ apiKey: [] }],
    },
    transform,
    transformObject: (made) => {
      if (!('openapiObject' in made)) return made.swaggerObject;
      for (const path of Object.values(made.openapiObject.paths ?? {}))
        for (const operation of Object.values(path ?? {})) describeBodies(operation, configs);
      return made.openapiObject;
    },
  });
  if (withPage) {
    // It is loaded here, since only plain Node can load it: it requires a package that is an ES module.
    const { default: swaggerUi } = await import('@fastify/swagger-ui');
    await app.register(swaggerUi, { routePrefix: '/docs', staticCSP: true });
  }
  let text: Buffer | undefined;
  app.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) => {
    // Everybody may ask for it: the same bytes serve all.
    text ??= Buffer.from(JSON.stringify(app.swagger()));
    return await reply.type('application/json; charset=utf-8').send(text);
  });
}

/** `getJobsByJob` for GET /v1/jobs/:job: the name in generated clients. */
function nameOf(method: string | readonly string[], url: string): string {
  const [verb = ''] = [method].flat();
  const words = url.split(/[/-]/).filter((part) => part !== '' && part !== 'v1');
  return (
    verb.toLowerCase() +
    words.map((word) => (word.startsWith(':') ? `By${capital(word.slice(1))}` : capital(word))).join('')
  );
}

/** Adds facts about an operation's body that schemas of routes cannot express: that it may be left out, and its other types. */
function describeBodies(operation: unknown, configs: ReadonlyMap<string, FastifyContextConfig>): void {
  if (!isRecord(operation) || typeof operation['operationId'] !== 'string') return;
  const { otherBodies = {}, bodyIsOptional = false } = configs.get(operation['operationId']) ?? {};
  const { requestBody } = operation;
  if (!isRecord(requestBody) || !isRecord(requestBody['content'])) return;
  requestBody['required'] = !bodyIsOptional;
  const others = Object.entries(otherBodies).map(([type, schema]) => [type, { schema }]);
  requestBody['content'] = { ...requestBody['content'], ...Object.fromEntries(others) };
}
