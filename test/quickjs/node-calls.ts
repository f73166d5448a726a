/**
 * Node's side of what the tests inside QuickJS ask for: published vectors and documents, and the
 * keys and signatures of the operator, who runs on Node in a vehicle's life, too.
 */
import * as crypto from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import * as util from 'node:util';
import * as zlib from 'node:zlib';
import * as hybridKem from '../../hal/node/hybrid-kem.ts';
import * as keyFormat from '../../hal/node/key-format.ts';
import * as signing from '../../hal/node/signing.ts';
import { type Answer, type Call, pack, type Side, unpack } from './wire.ts';

/** Modules whose functions run on Node's side, by the name or path under which tests import them. */
export const nodeModules: Readonly<Record<string, object>> = {
  'node:crypto': crypto,
  'node:fs': fs,
  'node:os': os,
  'node:path': path,
  'node:util': util,
  'node:zlib': zlib,
  'hal/node/hybrid-kem.ts': hybridKem,
  'hal/node/key-format.ts': keyFormat,
  'hal/node/signing.ts': signing,
};

/** Answers the calls of one engine. Objects that cannot travel stay here, under a number. */
export function createNodeSide(): (call: string) => string {
  const kept: unknown[] = [];
  const numbers = new Map<object, number>();
  const side: Side = {
    toBase64: (bytes) => Buffer.from(bytes).toString('base64'),
    numberOf(value, travels) {
      const known = numbers.get(value);
      if (known !== undefined || travels) return known;
      numbers.set(value, kept.length);
      return kept.push(value) - 1;
    },
    standFor: (number) => kept[number],
  };
  const answer = ({ of, name, given }: Call): Answer => {
    const owner = typeof of === 'number' ? kept[of] : nodeModules[of];
    const called = name === undefined ? owner : (owner as Record<string, unknown>)[name];
    if (typeof called !== 'function') throw new TypeError(`${of}.${name} is no function`);
    const value: unknown = called.apply(owner, unpack(side, given) as unknown[]);
    return { value: pack(side, value) };
  };
  return (call) => {
    try {
      return JSON.stringify(answer(JSON.parse(call) as Call));
    } catch (error) {
      const { name, message, code } = error as Error & { readonly code?: unknown };
      return JSON.stringify({ error: { name, message, code } } satisfies Answer);
    }
  };
}
