/** What each folder may import (docs: the arrows run one way), and what tier 2 may not use. */

const formats = [
  'agent/codec/',
  'agent/metadata/',
  'agent/crypto/',
  'agent/image/',
  'agent/codes.ts',
  'agent/limits.ts',
];

export interface FolderRule {
  /** The rule of the longest matching prefix counts. */
  readonly folder: string;
  /** Prefixes of the project's own paths. */
  readonly own: readonly string[];
  readonly node: boolean;
  /** Run-time packages of package.json; `development`: those for building too. */
  readonly packages: 'none' | 'runtime' | 'development';
}

export const folderRules: readonly FolderRule[] = [
  { folder: 'agent/', own: ['agent/', 'hal/types.ts'], node: false, packages: 'none' },
  { folder: 'hal/types.ts', own: [], node: false, packages: 'none' },
  {
    folder: 'hal/',
    own: ['hal/', ...formats, 'agent/install/', 'agent/can/'],
    node: true,
    packages: 'runtime',
  },
  { folder: 'hal/es5/', own: ['hal/es5/', 'hal/types.ts'], node: false, packages: 'none' },
  { folder: 'hal/noble/', own: ['hal/', ...formats], node: false, packages: 'runtime' },
  { folder: 'boards/', own: ['boards/', 'hal/', 'agent/'], node: true, packages: 'development' },
  {
    folder: 'backend/',
    own: ['backend/', ...formats, 'agent/verify/', 'hal/types.ts', 'hal/node/'],
    node: true,
    packages: 'runtime',
  },
  {
    folder: 'backend/fleet/',
    own: ['backend/', 'agent/', 'hal/', 'boards/'],
    node: true,
    packages: 'runtime',
  },
];

/** Where tier 2 enters; what these load belongs to it too. */
export const tier2Roots = [
  'agent/codec/',
  'agent/crypto/',
  'agent/image/',
  'agent/install/',
  'agent/can/',
  'agent/limits.ts',
  'agent/codes.ts',
  'agent/verify/partial',
  'hal/es5/',
];

export interface ForbiddenToken {
  readonly pattern: RegExp;
  readonly what: string;
}

const identifier = (names: string): RegExp => new RegExp(`(?<![.\\w$])(?:${names})(?![\\w$])`, 'g');

/** In `agent/`: what a bare engine has not, or what is I/O or a clock. */
export const agentTokens: readonly ForbiddenToken[] = [
  {
    pattern: identifier(
      'Buffer|TextEncoder|TextDecoder|setTimeout|setInterval|setImmediate|queueMicrotask|fetch|' +
        'Date|performance|console|structuredClone|localStorage|WebSocket',
    ),
    what: 'is no part of ECMAScript engines, or is a clock or I/O: take it from the HAL',
  },
];

/** In tier 2, beside what `agentTokens` names. */
export const tier2Tokens: readonly ForbiddenToken[] = [
  {
    pattern: identifier(
      'BigInt|BigInt64Array|BigUint64Array|Map|Set|WeakMap|WeakSet|Promise|DataView|RegExp',
    ),
    what: 'is missing on tier-2 engines: use numbers, arrays and byte arrays',
  },
  {
    pattern:
      /(?<!\bthis)\.(?:fill|find|findIndex|includes|flat|flatMap|padStart|padEnd|repeat|at|entries|values|fromEntries|hasOwn|copyWithin|startsWith|endsWith|codePointAt|replaceAll)\s*\(/g,
    what: 'is a method that tier-2 engines lack: use a loop, or `indexOf`',
  },
  { pattern: identifier('async|await'), what: 'needs promises: use callbacks' },
  { pattern: /(?<![.\w$])\d[\d_]*n\b/g, what: 'is a BigInt: use numbers up to 2^53 - 1' },
  {
    pattern: /(?<![.\w$])(?:yield(?![\w$])|function\s*\*)|[{};]\s*(?:static\s+)?\*\s*[\w$[]/g,
    what: 'is a generator: return an array or use a callback',
  },
];
