/**
 * Gives objects of Node to a program in quickjs-emscripten and takes its functions and values back:
 * what the host in C does for a board. Methods are called on Node's object; bytes that a callee wrote
 * into an argument are written into the program's array when it returns.
 */
import type { QuickJSContext, QuickJSHandle } from 'quickjs-emscripten-core';

/** Names of everything that a class's instances or an object have, methods too. */
function memberNames(value: object): string[] {
  const names = new Set<string>();
  for (let at: object | null = value; at !== null && at !== Object.prototype; ) {
    for (const name of Object.getOwnPropertyNames(at)) if (name !== 'constructor') names.add(name);
    at = Object.getPrototypeOf(at) as object | null;
  }
  return [...names];
}

/** An object of a class that `give` does not copy as a value. */
function isInstance(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (value instanceof Uint8Array || value instanceof Error || Array.isArray(value)) return false;
  const prototype = Object.getPrototypeOf(value) as unknown;
  return prototype !== Object.prototype && prototype !== null;
}

export class WasmBridge {
  private readonly context: QuickJSContext;
  private readonly makeBytes: QuickJSHandle;
  private readonly fillBytes: QuickJSHandle;
  private readonly kindOf: QuickJSHandle;

  constructor(context: QuickJSContext) {
    this.context = context;
    this.makeBytes = this.evaluate('(buffer) => new Uint8Array(buffer)');
    this.fillBytes = this.evaluate('(bytes, filled) => bytes.set(filled)');
    this.kindOf = this.evaluate(
      "(value) => value instanceof Uint8Array ? 'bytes' : Array.isArray(value) ? 'array' : " +
        "value === null ? 'null' : typeof value",
    );
  }

  /** Evaluates a classic script; the handle of its last value. Exceptions become Node's. */
  evaluate(source: string, filename = 'bridge'): QuickJSHandle {
    return this.context.unwrapResult(this.context.evalCode(source, filename));
  }

  /** The program's stand-in for a value of Node. */
  give(value: unknown): QuickJSHandle {
    const { context } = this;
    switch (typeof value) {
      case 'undefined':
        return context.undefined;
      case 'boolean':
        return value ? context.true : context.false;
      case 'number':
        return context.newNumber(value);
      case 'string':
        return context.newString(value);
      case 'function':
        return this.giveFunction((given) => value(...given) as unknown);
    }
    if (value === null) return context.null;
    if (value instanceof Uint8Array) return this.giveBytes(value);
    if (value instanceof Error) return context.newError(value);
    if (Array.isArray(value)) return this.giveArray(value);
    return this.giveObject(value as Record<string, unknown>);
  }

  /** Node's copy of a value of the program; its functions can be called later. */
  take(handle: QuickJSHandle): unknown {
    const { context } = this;
    switch (this.kind(handle)) {
      case 'undefined':
        return undefined;
      case 'null':
        return null;
      case 'boolean':
      case 'number':
      case 'string':
        return context.dump(handle);
      case 'bytes':
        return this.takeBytes(handle);
      case 'function':
        return this.takeFunction(handle);
      case 'array':
        return this.takeArray(handle);
      default:
        return this.takeObject(handle);
    }
  }

  private kind(handle: QuickJSHandle): string {
    const { context } = this;
    const result = context.callFunction(this.kindOf, context.undefined, handle);
    return context.unwrapResult(result).consume((kind) => context.getString(kind));
  }

  private giveFunction(call: (given: unknown[]) => unknown): QuickJSHandle {
    return this.context.newFunction('native', (...handles) => {
      const given = handles.map((handle) => this.take(handle));
      const before = given.map((value) =>
        value instanceof Uint8Array ? value.slice() : undefined,
      );
      const result = call(given);
      for (const [i, bytes] of before.entries()) {
        const after = given[i] as Uint8Array;
        if (bytes !== undefined && Buffer.compare(bytes, after) !== 0)
          this.fill(handles[i]!, after);
      }
      return this.give(result);
    });
  }

  private fill(target: QuickJSHandle, bytes: Uint8Array): void {
    const { context } = this;
    const filled = this.giveBytes(bytes);
    const result = context.callFunction(this.fillBytes, context.undefined, target, filled);
    filled.dispose();
    context.unwrapResult(result).dispose();
  }

  private giveBytes(bytes: Uint8Array): QuickJSHandle {
    const { context } = this;
    const buffer = context.newArrayBuffer(bytes.slice().buffer);
    const result = context.callFunction(this.makeBytes, context.undefined, buffer);
    buffer.dispose();
    return context.unwrapResult(result);
  }

  private giveArray(items: readonly unknown[]): QuickJSHandle {
    const array = this.context.newArray();
    for (let i = 0; i < items.length; i++) this.set(array, i, items[i]);
    return array;
  }

  private giveObject(value: Record<string, unknown>): QuickJSHandle {
    const object = this.context.newObject();
    for (const name of memberNames(value)) {
      const member = value[name];
      if (typeof member === 'function') {
        const method = this.giveFunction((given) => member.apply(value, given) as unknown);
        this.context.setProp(object, name, method);
        method.dispose();
      } else if (Object.hasOwn(value, name) && !isInstance(member)) {
        this.set(object, name, member);
      } else {
        // A property that the class computes, or a part of the platform behind it (a socket of Node has
        // the whole of Node behind it): given when it is asked for.
        this.context.defineProp(object, name, {
          enumerable: true,
          get: () => this.give(value[name]),
        });
      }
    }
    return object;
  }

  private set(object: QuickJSHandle, key: string | number, value: unknown): void {
    const given = this.give(value);
    this.context.setProp(object, key, given);
    given.dispose();
  }

  private takeBytes(handle: QuickJSHandle): Uint8Array {
    const { context } = this;
    const offset = context.getProp(handle, 'byteOffset').consume((one) => context.getNumber(one));
    const length = context.getProp(handle, 'byteLength').consume((one) => context.getNumber(one));
    const buffer = context.getProp(handle, 'buffer');
    // The lifetime is that of a copy on the module's heap.
    const bytes = context
      .getArrayBuffer(buffer)
      .consume(({ value }) => new Uint8Array(value.subarray(offset, offset + length)));
    buffer.dispose();
    return bytes;
  }

  private takeFunction(handle: QuickJSHandle): (...given: unknown[]) => unknown {
    const { context } = this;
    const kept = handle.dup();
    return (...given) => {
      const handles = given.map((value) => this.give(value));
      const result = context.callFunction(kept, context.undefined, ...handles);
      for (const one of handles) one.dispose();
      const value = context.unwrapResult(result).consume((one) => this.take(one));
      context.unwrapResult(context.runtime.executePendingJobs());
      return value;
    };
  }

  private takeArray(handle: QuickJSHandle): unknown[] {
    const { context } = this;
    const length = context.getProp(handle, 'length').consume((one) => context.getNumber(one));
    return Array.from({ length }, (_, i) =>
      context.getProp(handle, i).consume((one) => this.take(one)),
    );
  }

  private takeObject(handle: QuickJSHandle): Record<string, unknown> {
    const { context } = this;
    const taken: Record<string, unknown> = {};
    const names = context.unwrapResult(
      context.getOwnPropertyNames(handle, {
        strings: true,
        numbersAsStrings: true,
        onlyEnumerable: true,
      }),
    );
    for (const name of names) {
      taken[context.getString(name)] = context
        .getProp(handle, name)
        .consume((one) => this.take(one));
    }
    names.dispose();
    return taken;
  }
}
