/** The operator plane as operators' tools see it: description, metrics, health, readiness. */
import { Validator } from '@seriousme/openapi-schema-validator';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { call, codeOf, TestBackend, TestVehicle } from './backend-fixture.ts';

const test = suite('operator plane');
let backend: TestBackend;

test.before(async () => {
  backend = await TestBackend.start();
  await backend.register(new TestVehicle('vehicle-of-the-test'));
});
test.after(() => backend.stop());

const plain = (path: string) => call(backend.backend.ports.operator, path);
const text = (body: Uint8Array) => Buffer.from(body).toString('utf8');

type Operation = {
  readonly operationId: string;
  readonly security?: readonly unknown[];
  readonly responses: { readonly 200: { readonly content: Record<string, unknown> } };
};
type Document = {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
};

async function documentOf(): Promise<Document> {
  const answer = await plain('/openapi.json');
  assert.is(answer.status, 200);
  return JSON.parse(text(answer.body)) as Document;
}

test('its OpenAPI 3.1 document is valid by the schemas of the OpenAPI Initiative', async () => {
  const document = await documentOf();
  const validator = new Validator();
  const result = await validator.validate(document as never);
  assert.ok(result.valid, JSON.stringify(result.errors));
  assert.is(validator.version, '3.1');
  const broken = { ...document, paths: { '/status': { get: { responses: 'none' } } } };
  assert.not.ok((await new Validator().validate(broken as never)).valid, 'it can say no');
});

test('the document names every route, each once, and those without a token', async () => {
  const { paths } = await documentOf();
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  assert.is(operations.length, 26);
  assert.is(new Set(operations.map(({ operation }) => operation.operationId)).size, 26);
  for (const { path, method, operation } of operations) {
    const concrete = path.replace(/\{\w+\}/g, 'x');
    const { status } = await call(backend.backend.ports.operator, concrete, {
      method: method.toUpperCase(),
    });
    const open = operation.security?.length === 0;
    assert.is(status, open ? 200 : 401, `${method} ${path}`);
  }
});

test('answers have the fields that the document says', async () => {
  const { paths } = await documentOf();
  const headers = { accept: 'application/json' };
  for (const path of ['/status', '/vehicles', '/log', '/anomalies', '/director/wrapping-key']) {
    const value = JSON.parse(text((await backend.operator(path, { headers })).body));
    const content = paths[path]!['get']!.responses[200].content['application/json'] as {
      readonly schema: Record<string, unknown>;
    };
    check(content.schema, value, path);
  }
});

/** The part of JSON Schema that the document uses for these answers. */
function check(schema: Record<string, unknown>, value: unknown, place: string): void {
  if (schema['type'] === 'array') {
    assert.ok(Array.isArray(value), place);
    for (const item of value) check(schema['items'] as Record<string, unknown>, item, place);
    return;
  }
  if (schema['type'] !== 'object') return;
  const properties = (schema['properties'] ?? {}) as Record<string, Record<string, unknown>>;
  const object = value as Record<string, unknown>;
  for (const name of (schema['required'] ?? []) as string[]) {
    assert.ok(name in object, `${place}: ${name} is missing`);
  }
  if (schema['additionalProperties'] !== false) return;
  for (const [name, inner] of Object.entries(object)) {
    assert.ok(name in properties, `${place}: ${name} is not described`);
    check(properties[name]!, inner, `${place}.${name}`);
  }
}

test('metrics count what happened, and no identifier is ever a label', async () => {
  await backend.director('/metadata/vehicle-of-the-test/timestamp.cbor');
  await backend.director('/metadata/vehicle-nobody-knows/timestamp.cbor');
  await backend.director('/a-path-of-an-attacker');
  assert.is(codeOf(await plain('/metrics')), '401 token-missing');
  const answer = await backend.operator('/metrics');
  assert.match(String(answer.headers['content-type']), /^text\/plain; version=0\.0\.4/);
  const lines = text(answer.body).split('\n');
  const has = (start: string) =>
    assert.ok(
      lines.some((line) => line.startsWith(start)),
      start,
    );
  has('ota_http_request_duration_seconds_count{plane="director",route="GET /metadata/:vehicleId');
  has('ota_refusals_total{plane="director",code="vehicle-unknown"} 1');
  has('ota_refusals_total{plane="director",code="not-found"} 1');
  has('ota_admission_queued{lane="metadata"} 0');
  has('process_resident_memory_bytes ');
  has('ota_event_loop_delay_seconds ');
  for (const name of ['vehicle-of-the-test', 'vehicle-nobody-knows', 'attacker', '127.0.0.1']) {
    assert.not.ok(text(answer.body).includes(name), name);
  }
  assert.not.ok(/ (?:vehicle|ecu)\w*="/i.test(text(answer.body)));
});

test('it is alive and ready without a token', async () => {
  assert.is(codeOf(await plain('/healthz')), '200');
  assert.is(codeOf(await plain('/readyz')), '200');
});

test.run();
