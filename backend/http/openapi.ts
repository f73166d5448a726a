/**
 * The OpenAPI 3.1 document of the operator plane, generated from its routes and from the schemas by
 * which their bodies are read and written. Schemas describe the JSON view; the CBOR form has the
 * same fields under the numbers of docs/POUF.md.
 */
import type { Schema, Shape } from '../../agent/codec/schema.ts';
import { refusalAnswer } from '../../agent/metadata/device-messages.ts';
import { cborType } from './answers.ts';
import type { Json } from './json-view.ts';
import type { Route } from './listener.ts';

/** A record; a COSE_Sign envelope over one; image bytes; text in a format of its own. */
export type Content =
  | Schema<unknown>
  | { readonly signed: Schema<unknown> }
  | { readonly type: 'application/octet-stream' | 'application/json' | 'text/plain' };

export interface RouteText {
  readonly summary: string;
  readonly takes?: Content;
  readonly gives: Content;
  /** Optional parameters of the query string. */
  readonly query?: Readonly<Record<string, Schema<unknown>>>;
  /** Headers that have to be there. */
  readonly headers?: Readonly<Record<string, Schema<unknown>>>;
  /** Asked for without the token. */
  readonly open?: true;
}

type Object = { readonly [name: string]: Json };

/** The document over these routes; those that say nothing of themselves are not in it. */
export function openApiDocument(version: string, routes: readonly Route[]): Object {
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of routes) {
    if (route.says === undefined) continue;
    const path = route.path.replace(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route, route.says) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Operator plane',
      version,
      license: { name: 'MIT', identifier: 'MIT' },
      description:
        'Everything that changes what vehicles are told. Bodies are deterministic CBOR; answers ' +
        'are CBOR, or JSON where Accept prefers it.',
    },
    servers: [{ url: '/' }],
    security: [{ operatorToken: [] }],
    paths,
    components: {
      securitySchemes: { operatorToken: { type: 'http', scheme: 'bearer' } },
      schemas: { refusal: schemaOf(refusalAnswer.shape) },
      responses: {
        refusal: {
          description: 'A refusal, by its stable code',
          content: contentOf(refusalAnswer, { $ref: '#/components/schemas/refusal' }),
        },
      },
    },
  };
}

function operationOf({ method, path }: Route, says: RouteText): Object {
  const { summary, takes, gives, query = {}, headers = {}, open } = says;
  const words = path.split(/[^A-Za-z]+/).filter((word) => word !== '');
  const named = words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join('');
  const inPath = [...path.matchAll(/:(\w+)/g)].map(([, name]) => name!);
  const parameters: Json[] = [
    ...inPath.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
    ...Object.entries(query).map(([name, { shape }]) => ({
      ...{ name, in: 'query', required: false, schema: schemaOf(shape) },
    })),
    ...Object.entries(headers).map(([name, { shape }]) => ({
      ...{ name, in: 'header', required: true, schema: schemaOf(shape) },
    })),
  ];
  return {
    operationId: method.toLowerCase() + named,
    summary,
    ...(open && { security: [] }),
    ...(parameters.length > 0 && { parameters }),
    ...(takes && { requestBody: { required: true, content: requestOf(takes) } }),
    responses: {
      200: { description: summary, content: contentOf(gives) },
      default: { $ref: '#/components/responses/refusal' },
    },
  };
}

const binary = { type: 'string', format: 'binary' };

function isSchema(content: Content): content is Schema<unknown> {
  return 'shape' in content;
}

/** Request bodies are CBOR or image bytes only. */
function requestOf(content: Content): Object {
  if (!isSchema(content) && 'type' in content) return { [content.type]: { schema: binary } };
  return { [cborType]: { schema: { ...binary, description: describe(content) } } };
}

function describe(content: Schema<unknown> | { readonly signed: Schema<unknown> }): string {
  const { shape } = isSchema(content) ? content : content.signed;
  const view = `CBOR of: ${JSON.stringify(schemaOf(shape))}`;
  return isSchema(content) ? view : `COSE_Sign over the ${view}`;
}

function contentOf(content: Content, view?: Object): Object {
  if (!isSchema(content) && 'type' in content) {
    const schema = content.type === 'application/json' ? { type: 'object' } : binary;
    return { [content.type]: { schema } };
  }
  const json = view ?? (isSchema(content) ? schemaOf(content.shape) : envelopeOf(content.signed));
  return { [cborType]: { schema: binary }, 'application/json': { schema: json } };
}

function envelopeOf(payload: Schema<unknown>): Object {
  return {
    type: 'object',
    required: ['payload', 'signatures'],
    properties: {
      payload: schemaOf(payload.shape),
      signatures: { type: 'array', items: { type: 'object' } },
    },
  };
}

/** JSON Schema (2020-12) of the JSON view of a shape. */
export function schemaOf(shape: Shape): Object {
  switch (shape.kind) {
    case 'boolean':
      return { type: 'boolean' };
    case 'integer':
      return { type: 'integer', minimum: shape.min, maximum: shape.max };
    case 'text':
      return { type: 'string', minLength: shape.min, maxLength: shape.max };
    case 'bytes':
      // Characters of base64url without padding.
      return {
        ...{ type: 'string', contentEncoding: 'base64url' },
        ...{ minLength: Math.ceil((shape.min * 4) / 3), maxLength: Math.ceil((shape.max * 4) / 3) },
      };
    case 'named':
      return { enum: Object.keys(shape.names) };
    case 'key':
      return {
        type: 'object',
        required: ['algorithm', 'publicKey'],
        properties: { algorithm: { type: 'string' }, publicKey: { type: 'string' } },
        additionalProperties: false,
      };
    case 'array':
      return {
        ...{ type: 'array', items: schemaOf(shape.item.shape) },
        ...{ minItems: shape.min, maxItems: shape.max },
      };
    case 'tuple':
      return {
        ...{ type: 'array', prefixItems: shape.items.map((item) => schemaOf(item.shape)) },
        ...{ items: false, minItems: shape.items.length },
      };
    case 'dictionary':
      return {
        ...{ type: 'object', additionalProperties: schemaOf(shape.value.shape) },
        ...{ minProperties: shape.min, maxProperties: shape.max },
      };
    case 'record': {
      const fields = Object.entries(shape.fields);
      return {
        type: 'object',
        required: fields.filter(([, { optional }]) => !optional).map(([name]) => name),
        properties: Object.fromEntries(
          fields.map(([name, { schema }]) => [name, schemaOf(schema.shape)]),
        ),
        additionalProperties: false,
      };
    }
  }
}
