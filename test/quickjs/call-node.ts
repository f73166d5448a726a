/** The engine's side: functions and objects of Node that a test uses as if they were here. */
import { type Answer, type Call, pack, type Side, unpack } from './wire.ts';

declare function hostCall(call: string): string;

/** Node's numbers of what stands here for an object of its. */
const numbers = new WeakMap<object, number>();

const side: Side = {
  toBase64: (bytes) => (bytes as Uint8Array & { toBase64(): string }).toBase64(),
  numberOf(value, travels) {
    const number = numbers.get(value);
    if (number === undefined && !travels)
      throw new TypeError('no function or object of a test runs on Node');
    return number;
  },
  standFor(number, kind) {
    const call = (name: string | undefined, given: unknown): unknown =>
      ask({ of: number, name, given });
    const standIn =
      kind === 'function'
        ? (...given: unknown[]) => call(undefined, given)
        : new Proxy(
            {},
            {
              get:
                (_, name) =>
                (...given: unknown[]) =>
                  call(String(name), given),
            },
          );
    numbers.set(standIn, number);
    return standIn;
  },
};

function ask({ of, name, given }: Call): unknown {
  const answer = JSON.parse(
    hostCall(JSON.stringify({ of, name, given: pack(side, given) } satisfies Call)),
  ) as Answer;
  if (answer.error === undefined) return unpack(side, answer.value);
  const { name: kind, message, code } = answer.error;
  throw Object.assign(new Error(message), { name: kind, code });
}

/** Calls `name` of a module on Node's side (node-calls.ts). */
export function callNode(module: string, name: string, given: readonly unknown[]): unknown {
  return ask({ of: module, name, given });
}
