/**
 * Reads TypeScript just far enough to tell code from comments, strings, templates and regular
 * expressions. Enough for checks on tokens; it is no parser.
 */

export interface ScannedSource {
  /** The source with comments and the contents of literals blanked; offsets and lines stay. */
  readonly code: string;
  /** Offsets at which a regular expression literal begins. */
  readonly regularExpressions: readonly number[];
}

export interface ImportSpecifier {
  readonly specifier: string;
  readonly offset: number;
  /** Erased with the types: nothing is loaded. */
  readonly typeOnly: boolean;
}

const beforeExpression =
  /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|in|of|do|else|void|delete|throw|new|yield|await))\s*$/;

/** Blanks everything that is no code. */
export function scanSource(source: string): ScannedSource {
  const out = source.split('');
  const regularExpressions: number[] = [];
  /** One entry for each open `${`: how many braces are open inside. */
  const templates: number[] = [];
  let code = '';
  let at = 0;

  const blankTo = (end: number): void => {
    for (; at < end && at < source.length; at++) {
      if (source[at] !== '\n') out[at] = ' ';
    }
  };
  const endOfLiteral = (from: number, close: string): number => {
    let end = from;
    let inClass = false;
    while (end < source.length && (inClass || source[end] !== close)) {
      if (source[end] === '\\') end += 1;
      else if (close === '/' && source[end] === '[') inClass = true;
      else if (close === '/' && source[end] === ']') inClass = false;
      else if (source[end] === '\n') break;
      end += 1;
    }
    return end;
  };
  /** Blanks a template's text up to its end or the next `${`. */
  const template = (): void => {
    let end = at;
    while (end < source.length && source[end] !== '`' && !source.startsWith('${', end)) {
      end += source[end] === '\\' ? 2 : 1;
    }
    blankTo(end);
    if (source[at] === '`') {
      at += 1;
      code += 'x';
    } else if (at < source.length) {
      templates.push(0);
      at += 2;
      code += '{';
    }
  };

  while (at < source.length) {
    const character = source[at]!;
    if (source.startsWith('//', at)) {
      const end = source.indexOf('\n', at);
      blankTo(end < 0 ? source.length : end);
    } else if (source.startsWith('/*', at)) {
      const end = source.indexOf('*/', at + 2);
      blankTo(end < 0 ? source.length : end + 2);
    } else if (character === "'" || character === '"') {
      const end = endOfLiteral(at + 1, character);
      at += 1;
      blankTo(end);
      at += 1;
      code += 'x';
    } else if (character === '`') {
      at += 1;
      template();
    } else if (character === '}' && templates.at(-1) === 0) {
      templates.pop();
      at += 1;
      template();
    } else if (character === '/' && beforeExpression.test(code.slice(-32))) {
      regularExpressions.push(at);
      const end = endOfLiteral(at + 1, '/');
      at += 1;
      blankTo(end);
      at += 1;
      code += 'x';
    } else {
      if (templates.length > 0 && character === '{') templates[templates.length - 1]! += 1;
      if (templates.length > 0 && character === '}') templates[templates.length - 1]! -= 1;
      code += character;
      at += 1;
    }
  }
  return { code: out.join(''), regularExpressions };
}

/** Every module that a source names: imports, re-exports, `import()` of values and of types. */
export function importsOf(source: string, scanned: ScannedSource): ImportSpecifier[] {
  const found: ImportSpecifier[] = [];
  const pattern = /(?<![.\w$])(?:from|import|require)\s*(\(?)\s*(['"`])/g;
  for (const match of scanned.code.matchAll(pattern)) {
    const begin = match.index + match[0].length;
    const specifier = source.slice(begin, source.indexOf(match[2]!, begin));
    const before = scanned.code.slice(0, match.index);
    const statement = before.slice(before.lastIndexOf(';') + 1);
    const typeOnly = match[1] === '' && /(?:^|\s)(?:import|export)\s+type\b[^;]*$/.test(statement);
    found.push({ specifier, offset: match.index, typeOnly });
  }
  return found;
}

/** Line of an offset, from 1. */
export function lineOf(source: string, offset: number): number {
  return source.slice(0, offset).split('\n').length;
}
