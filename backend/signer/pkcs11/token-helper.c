/*
 * A process of its own for a PKCS#11 module (OASIS PKCS#11 2.40): what a vendor's library does to
 * memory, threads and signals stays out of the server. It knows calls, no policy: what is asked of
 * the token and when is decided by token.ts.
 *
 *   token-helper MODULE        standard input: requests; standard output: one answer each, in order
 *
 * Everything big-endian. request = u32 length | u8 operation | fields; answer = u32 length | u32
 * CK_RV | fields; field = u16 length | bytes. A request that is malformed ends the process: the
 * other end is our own. So does the end of the input.
 *
 * Secrets (the PIN) come by the pipe alone. The process leaves no core file and cannot be attached
 * to by others of the same user: a software token has the keys in this memory.
 */
#include <dlfcn.h>
#include <errno.h>
#include <p11-kit/pkcs11.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
  SELECT_TOKEN = 1, /* label | 1 byte: to be written to     -> u32 flags of the token */
  LOGIN = 2,        /* PIN                                  -> nothing */
  FIND = 3,         /* CKA_ID                               -> handle | CKA_EC_POINT | 2 booleans */
  SIGN = 4,         /* handle | 32 bytes to sign            -> r | s */
  GENERATE = 5,     /* CKA_LABEL | CKA_ID                   -> nothing */
  DESTROY = 6       /* CKA_ID                               -> nothing */
};

/* Of this program, in the space that CKR_VENDOR_DEFINED opens. */
#define SEVERAL_MATCH 0xffff0001UL
#define NONE_MATCHES 0xffff0002UL

enum { MAX_MESSAGE = 1024, MAX_FIELDS = 2, MAX_SLOTS = 64, MAX_POINT = 128 };

struct bytes {
  uint8_t *at;
  size_t length;
};

static CK_FUNCTION_LIST *calls;
static CK_SLOT_ID slot;
static CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
static int answers; /* descriptor of its own: a module that prints must not be heard as an answer */

static uint8_t answer[4 + MAX_MESSAGE];
static size_t answer_length; /* without the 4 bytes in front */

static _Noreturn void fail(const char *why) {
  fprintf(stderr, "token-helper: %s\n", why);
  exit(1);
}

static void put_u32(uint8_t *at, uint32_t value) {
  for (int i = 0; i < 4; i++) at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void add_field(const void *bytes, size_t length) {
  if (answer_length + 2 + length > MAX_MESSAGE) fail("answer too long");
  uint8_t *at = answer + 4 + answer_length;
  at[0] = (uint8_t)(length >> 8);
  at[1] = (uint8_t)length;
  memcpy(at + 2, bytes, length);
  answer_length += 2 + length;
}

/* False at the end of the input. */
static int read_all(uint8_t *at, size_t length) {
  for (size_t done = 0; done < length;) {
    ssize_t count = read(STDIN_FILENO, at + done, length - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return 0;
    done += (size_t)count;
  }
  return 1;
}

static void send_answer(CK_RV result) {
  /* A failed call answers by its code alone. */
  if (result != CKR_OK) answer_length = 4;
  put_u32(answer, (uint32_t)answer_length);
  put_u32(answer + 4, (uint32_t)result);
  for (size_t done = 0; done < 4 + answer_length;) {
    ssize_t count = write(answers, answer + done, 4 + answer_length - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) exit(0); /* nobody listens any more */
    done += (size_t)count;
  }
}

/* Labels of tokens are padded with blanks to 32 bytes. */
static int has_label(const CK_TOKEN_INFO *token, struct bytes label) {
  size_t padded = sizeof token->label;
  if (label.length > padded || memcmp(token->label, label.at, label.length) != 0) return 0;
  for (size_t i = label.length; i < padded; i++) {
    if (token->label[i] != ' ') return 0;
  }
  return 1;
}

static CK_RV select_token(struct bytes label, struct bytes writable) {
  CK_SLOT_ID slots[MAX_SLOTS];
  CK_ULONG count = MAX_SLOTS;
  CK_TOKEN_INFO token;
  CK_FLAGS flags = 0;
  int found = 0;
  if (session != CK_INVALID_HANDLE || writable.length != 1) fail("bad request");
  CK_RV result = calls->C_GetSlotList(CK_TRUE, slots, &count);
  for (CK_ULONG i = 0; result == CKR_OK && i < count; i++) {
    /* One that is just being pulled out is passed over. */
    if (calls->C_GetTokenInfo(slots[i], &token) != CKR_OK || !has_label(&token, label)) continue;
    slot = slots[i];
    flags = token.flags;
    found++;
  }
  if (result == CKR_OK && found == 0) result = NONE_MATCHES;
  if (result == CKR_OK && found > 1) result = SEVERAL_MATCH;
  if (result == CKR_OK) {
    CK_FLAGS kind = CKF_SERIAL_SESSION | (*writable.at ? CKF_RW_SESSION : 0);
    result = calls->C_OpenSession(slot, kind, NULL, NULL, &session);
  }
  uint8_t encoded[4];
  put_u32(encoded, (uint32_t)flags);
  add_field(encoded, sizeof encoded);
  return result;
}

static CK_RV login(struct bytes pin) {
  CK_RV result = calls->C_Login(session, CKU_USER, pin.at, pin.length);
  explicit_bzero(pin.at, pin.length);
  return result;
}

/* The one object of a class with this CKA_ID. */
static CK_RV find_object(CK_OBJECT_CLASS class, struct bytes id, CK_OBJECT_HANDLE *object) {
  CK_ATTRIBUTE wanted[] = {
    {CKA_CLASS, &class, sizeof class},
    {CKA_ID, id.at, id.length},
  };
  CK_OBJECT_HANDLE found[2];
  CK_ULONG count = 0;
  CK_RV result = calls->C_FindObjectsInit(session, wanted, 2);
  if (result != CKR_OK) return result;
  result = calls->C_FindObjects(session, found, 2, &count);
  CK_RV ended = calls->C_FindObjectsFinal(session);
  if (result == CKR_OK) result = ended;
  if (result != CKR_OK) return result;
  if (count != 1) return count == 0 ? NONE_MATCHES : SEVERAL_MATCH;
  *object = found[0];
  return CKR_OK;
}

static CK_RV find_key(struct bytes id) {
  CK_OBJECT_HANDLE private_key, public_key;
  uint8_t point[MAX_POINT];
  CK_BBOOL sensitive = CK_FALSE, extractable = CK_TRUE;
  CK_ATTRIBUTE guards[] = {
    {CKA_SENSITIVE, &sensitive, sizeof sensitive},
    {CKA_EXTRACTABLE, &extractable, sizeof extractable},
  };
  CK_ATTRIBUTE public_half = {CKA_EC_POINT, point, sizeof point};
  CK_RV result = find_object(CKO_PRIVATE_KEY, id, &private_key);
  if (result == CKR_OK) result = find_object(CKO_PUBLIC_KEY, id, &public_key);
  if (result == CKR_OK) result = calls->C_GetAttributeValue(session, private_key, guards, 2);
  if (result == CKR_OK) result = calls->C_GetAttributeValue(session, public_key, &public_half, 1);
  if (result != CKR_OK) return result;
  uint8_t booleans[2] = {sensitive != CK_FALSE, extractable != CK_FALSE};
  add_field(&private_key, sizeof private_key);
  add_field(point, public_half.ulValueLen);
  add_field(booleans, sizeof booleans);
  return CKR_OK;
}

static CK_RV sign(struct bytes key, struct bytes digest) {
  CK_MECHANISM mechanism = {CKM_ECDSA, NULL, 0};
  CK_OBJECT_HANDLE private_key;
  uint8_t signature[MAX_POINT];
  CK_ULONG length = sizeof signature;
  if (key.length != sizeof private_key) fail("bad request");
  memcpy(&private_key, key.at, sizeof private_key);
  CK_RV result = calls->C_SignInit(session, &mechanism, private_key);
  if (result == CKR_OK) {
    result = calls->C_Sign(session, digest.at, digest.length, signature, &length);
  }
  if (result == CKR_OK) add_field(signature, length);
  return result;
}

static CK_RV generate(struct bytes label, struct bytes id) {
  CK_MECHANISM mechanism = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
  CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
  /* DER of the object identifier of prime256v1 (RFC 5480 §2.1.1.1) */
  uint8_t p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
  CK_ATTRIBUTE public_half[] = {
    {CKA_TOKEN, &yes, sizeof yes},
    {CKA_PRIVATE, &no, sizeof no},
    {CKA_VERIFY, &yes, sizeof yes},
    {CKA_EC_PARAMS, p256, sizeof p256},
    {CKA_LABEL, label.at, label.length},
    {CKA_ID, id.at, id.length},
  };
  CK_ATTRIBUTE private_half[] = {
    {CKA_TOKEN, &yes, sizeof yes},
    {CKA_PRIVATE, &yes, sizeof yes},
    {CKA_SENSITIVE, &yes, sizeof yes},
    {CKA_EXTRACTABLE, &no, sizeof no},
    {CKA_SIGN, &yes, sizeof yes},
    {CKA_LABEL, label.at, label.length},
    {CKA_ID, id.at, id.length},
  };
  CK_OBJECT_HANDLE public_key, private_key;
  return calls->C_GenerateKeyPair(session, &mechanism, public_half, 6, private_half, 7,
                                  &public_key, &private_key);
}

/* The private half first: what is left after an interruption signs nothing. */
static CK_RV destroy(struct bytes id) {
  CK_OBJECT_CLASS classes[] = {CKO_PRIVATE_KEY, CKO_PUBLIC_KEY};
  for (int i = 0; i < 2; i++) {
    CK_OBJECT_HANDLE object;
    CK_RV result = find_object(classes[i], id, &object);
    if (result == CKR_OK) result = calls->C_DestroyObject(session, object);
    if (result != CKR_OK && result != NONE_MATCHES) return result;
  }
  return CKR_OK;
}

static CK_RV act(uint8_t operation, const struct bytes *fields, int count) {
  static const int expected[] = {
      [SELECT_TOKEN] = 2, [LOGIN] = 1, [FIND] = 1, [SIGN] = 2, [GENERATE] = 2, [DESTROY] = 1};
  if (operation < SELECT_TOKEN || operation > DESTROY || count != expected[operation]) {
    fail("bad request");
  }
  switch (operation) {
    case SELECT_TOKEN: return select_token(fields[0], fields[1]);
    case LOGIN: return login(fields[0]);
    case FIND: return find_key(fields[0]);
    case SIGN: return sign(fields[0], fields[1]);
    case GENERATE: return generate(fields[0], fields[1]);
    default: return destroy(fields[0]);
  }
}

/* One request; false at the end of the input. */
static int serve(void) {
  uint8_t head[4], request[MAX_MESSAGE];
  struct bytes fields[MAX_FIELDS] = {{request, 0}, {request, 0}};
  int count = 0;
  if (!read_all(head, sizeof head)) return 0;
  size_t length = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
  if (length < 1 || length > sizeof request) fail("bad request");
  if (!read_all(request, length)) return 0;
  for (size_t at = 1; at < length; count++) {
    if (count == MAX_FIELDS || length - at < 2) fail("bad request");
    size_t size = (size_t)request[at] << 8 | request[at + 1];
    at += 2;
    if (size > length - at) fail("bad request");
    fields[count] = (struct bytes){request + at, size};
    at += size;
  }
  answer_length = 4;
  send_answer(act(request[0], fields, count));
  explicit_bzero(request, sizeof request);
  return 1;
}

static CK_RV open_module(const char *path) {
  void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (module == NULL) fail(dlerror());
  CK_C_GetFunctionList get = NULL;
  /* ISO C has no conversion from an object's pointer to a function's; POSIX promises it. */
  *(void **)&get = dlsym(module, "C_GetFunctionList");
  if (get == NULL) fail("no PKCS#11 module: it has no C_GetFunctionList");
  CK_RV result = get(&calls);
  return result == CKR_OK ? calls->C_Initialize(NULL) : result;
}

int main(int count, char **arguments) {
  if (count != 2) fail("usage: token-helper MODULE");
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
  prctl(PR_SET_DUMPABLE, 0);
  answers = dup(STDOUT_FILENO);
  if (answers < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) fail("no standard output");
  CK_RV result = open_module(arguments[1]);
  if (result != CKR_OK) {
    fprintf(stderr, "token-helper: the module does not start: 0x%lx\n", (unsigned long)result);
    return 1;
  }
  while (serve()) continue;
  calls->C_Finalize(NULL);
  return 0;
}
