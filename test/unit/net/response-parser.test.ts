/** HTTP responses: the same result for any pieces, and a refusal for whatever is not strict. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../../agent/codes.ts';
import { maxHttpHeaderBytes } from '../../../agent/limits.ts';
import { ResponseParser } from '../../../agent/net/response-parser.ts';

const test = suite('HTTP response parser');

interface Parsed {
  readonly code: string;
  readonly status: number | undefined;
  readonly body: string;
  readonly done: boolean;
}

/** Parses `text` in pieces of `size` bytes; bytes behind the response are left alone. */
function parse(text: string, size: number, maxBodyBytes = 1_000): Parsed {
  const input = Buffer.from(text, 'latin1');
  const parser = new ResponseParser();
  const outcome = (code: string): Parsed => ({
    code,
    status: parser.head?.status,
    body,
    done: parser.done,
  });
  let body = '';
  let accepted = false;
  for (let start = 0; start < input.length; start += size) {
    const end = Math.min(start + size, input.length);
    for (let offset = start; offset < end && !parser.done; ) {
      const next = parser.step(input, offset, end);
      if (isRefusal(next)) return outcome(next.refused);
      assert.ok(next > offset, 'a step without progress');
      body += input.toString('latin1', parser.bodyStart, parser.bodyEnd);
      offset = next;
      if (parser.head !== undefined && !accepted) {
        accepted = true;
        const refusal = parser.acceptBody(maxBodyBytes);
        if (refusal !== undefined) return outcome(refusal.refused);
      }
    }
  }
  return outcome('ok');
}

/** Parses whole and byte by byte; both must agree. */
function parseBoth(text: string, maxBodyBytes?: number): Parsed {
  const whole = parse(text, text.length, maxBodyBytes);
  assert.equal(parse(text, 1, maxBodyBytes), whole, `byte by byte: ${text.slice(0, 80)}`);
  assert.equal(parse(text, 7, maxBodyBytes), whole, `in sevens: ${text.slice(0, 80)}`);
  return whole;
}

const ok = 'HTTP/1.1 200 OK\r\n';
const plain = `${ok}Content-Length: 5\r\nETag: "abc"\r\nX-Other: \x80 y\r\n\r\nhello`;
const chunked = `${ok}Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;name=value\r\nlo\r\n0\r\nTrailer: x\r\n\r\n`;

test('a body with a length and a chunked body give the same bytes in any pieces', () => {
  for (const text of [plain, chunked, `HTTP/1.1 103 Early\r\nLink: x\r\n\r\n${plain}`]) {
    assert.equal(parseBoth(text), { code: 'ok', status: 200, body: 'hello', done: true });
  }
});

test('what lies behind the response is not read', () => {
  assert.is(parseBoth(`${plain}HTTP/1.1 junk`).body, 'hello');
});

test('no truncation is taken for an end', () => {
  for (const text of [plain, chunked]) {
    for (let length = 0; length < text.length; length++) {
      const parsed = parseBoth(text.slice(0, length));
      assert.is(parsed.code, 'ok');
      assert.not.ok(parsed.done, `done after ${length} bytes`);
    }
  }
});

test('a status without a body ends with its head', () => {
  assert.ok(parseBoth('HTTP/1.1 204 No Content\r\n\r\n').done);
  assert.ok(parseBoth(`${ok}Content-Length: 0\r\n\r\n`).done);
});

const malformed: Readonly<Record<string, string>> = {
  'another protocol': 'SSH-2.0-x\r\n',
  'HTTP/1.0': 'HTTP/1.0 200 OK\r\n',
  'a status of two digits': 'HTTP/1.1 20 OK\r\n',
  'a status of four digits': 'HTTP/1.1 2000 OK\r\n',
  'a status out of range': 'HTTP/1.1 600 x\r\n',
  'a switched protocol': 'HTTP/1.1 101 x\r\n\r\n',
  'a bare line feed': 'HTTP/1.1 200 OK\nContent-Length: 0\n\n',
  'a bare carriage return': 'HTTP/1.1 200 OK\rX',
  'a header without a colon': `${ok}Content-Length\r\n`,
  'a header without a name': `${ok}: x\r\n`,
  'a blank before the colon': `${ok}Content-Length : 5\r\n`,
  'a folded header': `${ok}X: a\r\n b\r\n`,
  'a zero byte': `${ok}X: \0\r\n`,
  'no length': `${ok}\r\n`,
  'two lengths': `${ok}Content-Length: 5\r\nContent-Length: 5\r\n`,
  'a list of lengths': `${ok}Content-Length: 5, 5\r\n\r\n`,
  'a negative length': `${ok}Content-Length: -5\r\n\r\n`,
  'a length with a sign': `${ok}Content-Length: +5\r\n\r\n`,
  'an empty length': `${ok}Content-Length: \r\n\r\n`,
  'a length of 16 digits': `${ok}Content-Length: 1000000000000000\r\n\r\n`,
  'length and transfer coding': `${ok}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n`,
  'another transfer coding': `${ok}Transfer-Encoding: gzip, chunked\r\n\r\n`,
  'a content coding': `${ok}Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\n`,
  'a chunk size that is no number': `${ok}Transfer-Encoding: chunked\r\n\r\nxyz\r\n`,
  'an empty chunk size': `${ok}Transfer-Encoding: chunked\r\n\r\n\r\n`,
  'a chunk size of nine digits': `${ok}Transfer-Encoding: chunked\r\n\r\n000000001\r\n`,
  'a chunk longer than its size': `${ok}Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n`,
  'an endless chunk extension': `${ok}Transfer-Encoding: chunked\r\n\r\n1;${'x'.repeat(300)}`,
  '206 without Content-Range': 'HTTP/1.1 206 x\r\nContent-Length: 5\r\n\r\n',
  'a range of unknown total':
    'HTTP/1.1 206 x\r\nContent-Length: 5\r\nContent-Range: bytes 0-4/*\r\n\r\n',
  'a range beyond its total':
    'HTTP/1.1 206 x\r\nContent-Length: 5\r\nContent-Range: bytes 0-4/4\r\n\r\n',
  'a range backwards': 'HTTP/1.1 206 x\r\nContent-Length: 5\r\nContent-Range: bytes 4-0/9\r\n\r\n',
};
for (const [name, text] of Object.entries(malformed)) {
  test(`refuses ${name}`, () => {
    assert.is(parseBoth(text).code, 'http-malformed');
  });
}

test('HRD-13: a head may have the limit and no byte more, interim responses included', () => {
  const padded = (bytes: number) => {
    const text = `${ok}X: \r\nContent-Length: 0\r\n\r\n`;
    return text.replace('X: ', `X: ${'x'.repeat(bytes - text.length)}`);
  };
  assert.is(parseBoth(padded(maxHttpHeaderBytes)).code, 'ok');
  assert.is(parseBoth(padded(maxHttpHeaderBytes + 1)).code, 'net-endless');
  const interim = 'HTTP/1.1 100 x\r\n\r\n'.repeat(500);
  assert.is(parseBoth(`${interim}${plain}`).code, 'net-endless');
});

test('CTS-01: a body may have the limit and no byte more', () => {
  assert.is(parseBoth(plain, 5).code, 'ok');
  assert.is(parseBoth(plain, 4).code, 'net-endless');
  assert.is(parseBoth(chunked, 5).code, 'ok');
  assert.is(parseBoth(chunked, 4).code, 'net-endless');
});

test('CTS-01: trailers are bounded', () => {
  const flood = chunked.replace('Trailer: x', `Trailer: ${'x'.repeat(maxHttpHeaderBytes)}`);
  assert.is(parseBoth(flood).code, 'net-endless');
});

test('an entity tag counts when it is strong, a range when it is whole', () => {
  const headOf = (text: string) => {
    const parser = new ResponseParser();
    const input = Buffer.from(text, 'latin1');
    assert.is(parser.step(input, 0, input.length), input.length);
    return parser.head;
  };
  const length = 'Content-Length: 5\r\n';
  assert.is(headOf(`${ok}${length}ETag: "a b"\r\n\r\n`)?.etag, '"a b"');
  assert.is(headOf(`${ok}${length}ETag: W/"a"\r\n\r\n`)?.etag, undefined);
  const partial = `HTTP/1.1 206 x\r\n${length}Content-Range: bytes 5-9/10\r\n\r\n`;
  assert.equal(headOf(partial)?.contentRange, { from: 5, to: 9, total: 10 });
});

test('Retry-After: seconds, or a date against the Date of the same answer; else nothing', () => {
  const parser = (headers: string) => {
    const made = new ResponseParser();
    const input = Buffer.from(`HTTP/1.1 503 x\r\nContent-Length: 5\r\n${headers}\r\n`, 'latin1');
    made.step(input, 0, input.length);
    return made.head?.retryAfterSeconds;
  };
  const date = 'Date: Mon, 28 Feb 2028 23:59:50 GMT\r\n';
  const until = (text: string, now = date) => parser(`${now}Retry-After: ${text}\r\n`);
  assert.is(until('7'), 7);
  assert.is(until('Tue, 29 Feb 2028 00:00:20 GMT'), 30);
  assert.is(
    until('Tue, 29 Feb 2028 00:00:20 GMT', 'Date: Mon, 28 Feb 2028 23:00:20 GMT\r\n'),
    3_600,
  );
  assert.is(until('Sat, 01 Jan 2000 00:00:00 GMT'), 0, 'over already');
  assert.is(until('Wed, 01 Mar 2028 00:00:00 GMT'), 86_400, 'no longer than a day');
  assert.is(until('Fri, 31 Dec 9999 23:59:59 GMT'), 86_400);
  // Known instants, so that both sides are not wrong by the same: 2000-02-29 to 2000-03-01, new year.
  assert.is(until('Wed, 01 Mar 2000 00:00:00 GMT', 'Date: Tue, 29 Feb 2000 23:59:59 GMT\r\n'), 1);
  assert.is(until('Fri, 01 Mar 2100 00:00:00 GMT', 'Date: Sun, 28 Feb 2100 23:59:59 GMT\r\n'), 1);
  assert.is(until('Sat, 01 Jan 2028 00:00:00 GMT', 'Date: Fri, 31 Dec 2027 23:59:58 GMT\r\n'), 2);
  assert.is(until('Tue, 29 Feb 2028 00:00:20 GMT', ''), undefined, 'no clock to measure it by');
  for (const wrong of [
    '-7',
    '7.5',
    'Tuesday, 29-Feb-28 00:00:20 GMT',
    'Tue, 29 Feb 2028 00:00:20 CET',
    'Tue, 29 Fbb 2028 00:00:20 GMT',
    'Tue, 29 Feb 2028 24:00:20 GMT',
    'Tue, 00 Feb 2028 00:00:20 GMT',
    'Tue, 29 Feb 2028 00-00:20 GMT',
  ]) {
    assert.is(until(wrong), undefined, wrong);
  }
});

test.run();
