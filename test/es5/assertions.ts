/** In place of uvu/assert on an engine without Map and Set: the assertions that the tests use. */

function shown(value: unknown): string {
  if (value instanceof Uint8Array) return `bytes ${Array.prototype.join.call(value, ' ')}`;
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function fail(message: string | undefined, found: string): never {
  throw new Error(message === undefined ? found : `${message}: ${found}`);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return a.length === b.length;
}

/** Same kind, same keys, equal values. */
function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (a instanceof Uint8Array) return sameBytes(a, b as Uint8Array);
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  const names = Object.keys(left);
  if (names.length !== Object.keys(right).length) return false;
  return names.every((name) => name in right && same(left[name], right[name]));
}

export function is(actual: unknown, expected: unknown, message?: string): void {
  if (actual !== expected) fail(message, `${shown(actual)} is not ${shown(expected)}`);
}
is.not = (actual: unknown, expected: unknown, message?: string): void => {
  if (actual === expected) fail(message, `both are ${shown(actual)}`);
};

export function ok(actual: unknown, message?: string): void {
  if (!actual) fail(message, `${shown(actual)} is not true`);
}

export function equal(actual: unknown, expected: unknown, message?: string): void {
  if (!same(actual, expected)) fail(message, `${shown(actual)} is not ${shown(expected)}`);
}

export function not(actual: unknown, message?: string): void {
  if (actual) fail(message, `${shown(actual)} is true`);
}
not.ok = not;
not.equal = (actual: unknown, expected: unknown, message?: string): void => {
  if (same(actual, expected)) fail(message, `both are ${shown(actual)}`);
};

export function match(actual: string, expected: string | RegExp, message?: string): void {
  const found =
    typeof expected === 'string' ? actual.indexOf(expected) >= 0 : expected.test(actual);
  if (!found) fail(message, `${actual} does not match ${expected}`);
}

export function instance(actual: unknown, kind: new () => unknown, message?: string): void {
  if (!(actual instanceof kind)) fail(message, `${shown(actual)} is of another class`);
}

export function unreachable(message = 'reached what should not be'): never {
  throw new Error(message);
}

export function throws(
  run: () => unknown,
  expected?: RegExp | string | ((error: Error) => boolean),
  message?: string,
): void {
  try {
    run();
  } catch (error) {
    const found = (error as Error).message;
    if (typeof expected === 'function') ok(expected(error as Error), message ?? found);
    else if (expected !== undefined) match(found, expected, message);
    return;
  }
  fail(message, 'nothing was thrown');
}
throws.not = (run: () => unknown): void => void run();
