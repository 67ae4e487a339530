import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { createJsonSchemaTransform } from 'fastify-type-provider-zod';
import { release } from '../worker/release.ts';

/**
 * Describes whatever is served after this: OpenAPI 3.1 at `/openapi.json`.
 * @param withPage also a page to read and try it, at `/docs`.
 */
export async function document(app: FastifyInstance, withPage: boolean): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'audience-triggers',
        version: release(),
        description: 'Tells other systems, by webhook, when a person enters or leaves an audience.',
      },
      components: { securitySchemes: { apiKey: { type: 'http', scheme: 'bearer' } } },
      security: [{ apiKey: [] }],
    },
    transform: createJsonSchemaTransform({
      skipList: ['/docs', '/docs/*', '/docs/json', '/docs/yaml', '/docs/static/*', '/openapi.json'],
      zodToJsonConfig: { unrepresentable: 'any' },
    }),
  });
  if (withPage) {
    // Loaded here, since it can be loaded by plain Node alone: it requires a package that is an ES module.
    const { default: swaggerUi } = await import('@fastify/swagger-ui');
    await app.register(swaggerUi, { routePrefix: '/docs', staticCSP: true });
  }
  app.get('/openapi.json', { schema: { hide: true } }, async () => await Promise.resolve(app.swagger()));
}
