/**
 * In the place of bootloader and agent in a Secondary's program: calls more functions than the engine
 * keeps records of (hal/quickjs/build/function-records.c), of every kind, while others wait in the
 * middle of theirs.
 */
import type { Native } from '../../hal/quickjs/native.ts';

declare const native: Native;

/** Makes so much that cycles are collected, by which the records of all that does not run are dropped. */
function collect(): void {
  for (let i = 0; i < 2_000; i++) {
    const cycle: { self?: unknown; readonly filled: readonly number[] } = { filled: [i, i + 1] };
    cycle.self = cycle;
  }
}

const texts = ['none', 'one', 'two'];

/** Every call has a function of its own with constants of its own. */
function nested(depth: number): string {
  const inner = (left: number): string => {
    if (left === 0) {
      collect();
      return 'the innermost';
    }
    const name = `${texts[left % 3]} of ${left}`;
    const below = inner(left - 1);
    return below.length > 0 && name.startsWith(texts[left % 3]!)
      ? `${below}, ${left / 4}`
      : 'wrong';
  };
  return inner(depth);
}

class Base {
  protected readonly name: string;
  static made = 0;

  constructor(name: string) {
    collect();
    this.name = name;
    Base.made++;
  }

  told(): string {
    return `base ${this.name}`;
  }

  get length(): number {
    return this.name.length;
  }
}

class Derived extends Base {
  private readonly value: number;

  constructor(name: string, value: number) {
    collect();
    super(`${name}!`);
    this.value = value;
  }

  override told(): string {
    collect();
    return `derived ${super.told()} ${this.value}`;
  }
}

function* counted(end: number): Generator<string> {
  for (let i = 0; i < end; i++) {
    collect();
    yield `number ${i}`;
  }
}

async function waiting(turns: number): Promise<string> {
  let said = 'waited';
  for (let i = 0; i < turns; i++) {
    await Promise.resolve();
    collect();
    said += ` ${i}`;
  }
  return said;
}

function thrown(): string {
  try {
    [3, 1, 2].sort((a, b) => {
      collect();
      if (a === 2 || b === 2) throw new RangeError('two is refused');
      return a - b;
    });
    return 'not thrown';
  } catch (error) {
    return (error as Error).message;
  } finally {
    collect();
  }
}

/** More functions than are kept, each with a variable of its own. */
function many(count: number): number {
  const functions: (() => number)[] = [];
  for (let i = 0; i < count; i++) functions.push(() => i + 0.5);
  collect();
  return functions.reduce((sum, one) => sum + one(), 0);
}

function deep(): number {
  const descend = (left: number): number => (left === 0 ? 1 : 1 + descend(left - 1));
  try {
    const endless = (): number => 1 + endless();
    return endless();
  } catch {
    collect();
    return descend(200);
  }
}

const large = 2n ** 70n + 1n;

const told = [
  nested(9),
  new Derived('first', 0.25).told(),
  new Base('second').told(),
  String(new Derived('third', 1).length + Base.made),
  [...counted(3)].join(),
  thrown(),
  String(many(300)),
  String(deep()),
  String(large % 1_000n),
  `${typeof nested} ${typeof Derived.prototype.told} ${new Derived('x', 2) instanceof Base}`,
];
void Promise.all([waiting(3), waiting(2)]).then((said) => {
  native.log([...told, ...said].join('\n'));
  native.exit(0);
});
