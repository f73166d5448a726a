/** A request whose whole answer fits in memory: metadata, key objects, small answers. */
import { isRefusal } from '../codes.ts';
import type { HttpClient, HttpHandle, HttpRefusal, HttpRequest } from './http.ts';

const firstBytes = 1_024;

/**
 * Runs `request` and hands over its body in one array.
 * Codes as in `HttpClient.request`.
 */
export function collectBody(
  http: HttpClient,
  request: Omit<HttpRequest, 'onBody' | 'onDone' | 'onHeaders'>,
  onDone: (result: Uint8Array | HttpRefusal) => void,
): HttpHandle {
  // Grows with what came, not with what was announced: an announcement costs a peer nothing.
  let body = new Uint8Array(Math.min(firstBytes, request.maxBodyBytes));
  let length = 0;
  return http.request({
    ...request,
    onBody(piece) {
      if (length + piece.length > body.length) {
        const wanted = Math.max(length + piece.length, 2 * body.length);
        const larger = new Uint8Array(Math.min(wanted, request.maxBodyBytes));
        larger.set(body.subarray(0, length));
        body = larger;
      }
      body.set(piece, length);
      length += piece.length;
    },
    onDone(result) {
      onDone(isRefusal(result) ? result : body.slice(0, length));
    },
  });
}
