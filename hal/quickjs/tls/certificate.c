#include "certificate.h"

#include <string.h>
#include <strings.h>

enum { SEQUENCE = 0x30, OBJECT_IDENTIFIER = 0x06, BOOLEAN = 0x01, OCTET_STRING = 0x04 };
enum { UTC_TIME = 0x17, GENERALIZED_TIME = 0x18, VERSION = 0xa0, EXTENSIONS = 0xa3 };
enum { DNS_NAME = 0x82 };

static const uint8_t basic_constraints[] = {0x55, 0x1d, 0x13};
static const uint8_t alternative_names[] = {0x55, 0x1d, 0x11};
static const uint8_t extended_key_usage[] = {0x55, 0x1d, 0x25};
static const uint8_t server_auth[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01};

/* What is left of the content of an element. */
typedef struct {
  const uint8_t *bytes;
  size_t length;
} der_view;

size_t der_element_length(const uint8_t *bytes, size_t length) {
  if (length < 2) return 0;
  size_t head = 2, content = bytes[1];
  if (content >= 0x80) {
    size_t count = content & 0x7f;
    if (count < 1 || count > 3 || length < 2 + count) return 0;
    content = 0;
    for (size_t i = 0; i < count; i++) content = content << 8 | bytes[2 + i];
    head += count;
  }
  return content <= length - head ? head + content : 0;
}

static bool next_is(const der_view *view, uint8_t tag) {
  return view->length > 0 && view->bytes[0] == tag;
}

/* Takes one element of that tag off `view`; its content goes to `content`. */
static bool take(der_view *view, uint8_t tag, der_view *content) {
  size_t length = next_is(view, tag) ? der_element_length(view->bytes, view->length) : 0;
  if (length == 0) return false;
  size_t head = view->bytes[1] < 0x80 ? 2 : 2 + (size_t)(view->bytes[1] & 0x7f);
  *content = (der_view){view->bytes + head, length - head};
  view->bytes += length;
  view->length -= length;
  return true;
}

static bool skip(der_view *view) {
  der_view content;
  return view->length > 0 && take(view, view->bytes[0], &content);
}

static bool is(const der_view *view, const uint8_t *bytes, size_t length) {
  return view->length == length && memcmp(view->bytes, bytes, length) == 0;
}

/* Days from 1970 to a date of the Gregorian calendar; negative before. */
static int64_t days_to(int64_t year, int64_t month, int64_t day) {
  static const int before_month[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
  int64_t leap_years = month > 2 ? year : year - 1;
  return year * 365 + leap_years / 4 - leap_years / 100 + leap_years / 400 +
         before_month[month - 1] + day - 719528;
}

/* UTCTime `YYMMDDhhmmssZ` (1950 to 2049) or GeneralizedTime `YYYYMMDDhhmmssZ`. */
static bool take_time(der_view *view, uint64_t *seconds) {
  der_view text;
  int fields[6];
  bool generalized = next_is(view, GENERALIZED_TIME);
  size_t year_digits = generalized ? 4 : 2;
  if (!take(view, generalized ? GENERALIZED_TIME : UTC_TIME, &text)) return false;
  if (text.length != year_digits + 11 || text.bytes[text.length - 1] != 'Z') return false;
  for (size_t i = 0, at = 0; i < 6; i++) {
    fields[i] = 0;
    for (size_t digits = i == 0 ? year_digits : 2; digits > 0; digits--, at++) {
      if (text.bytes[at] < '0' || text.bytes[at] > '9') return false;
      fields[i] = fields[i] * 10 + text.bytes[at] - '0';
    }
  }
  int year = generalized ? fields[0] : fields[0] + (fields[0] < 50 ? 2000 : 1900);
  if (fields[1] < 1 || fields[1] > 12 || fields[2] < 1 || fields[2] > 31) return false;
  if (fields[3] > 23 || fields[4] > 59 || fields[5] > 60) return false;
  int64_t sum = days_to(year, fields[1], fields[2]) * 86400 + fields[3] * 3600 + fields[4] * 60 +
                fields[5];
  *seconds = sum < 0 ? 0 : (uint64_t)sum;
  return true;
}

static bool is_name(const der_view *view, const char *name) {
  return view->length == strlen(name) &&
         strncasecmp((const char *)view->bytes, name, view->length) == 0;
}

static bool read_constraints(der_view value, certificate_facts *facts) {
  der_view constraints, flag;
  if (!take(&value, SEQUENCE, &constraints)) return false;
  if (!next_is(&constraints, BOOLEAN)) return true;
  if (!take(&constraints, BOOLEAN, &flag) || flag.length != 1) return false;
  facts->of_authority = flag.bytes[0] != 0;
  return true;
}

static bool read_names(der_view value, const char *name, certificate_facts *facts) {
  der_view names, one;
  if (!take(&value, SEQUENCE, &names)) return false;
  while (names.length > 0) {
    uint8_t kind = names.bytes[0];
    if (!take(&names, kind, &one)) return false;
    if (kind == DNS_NAME && is_name(&one, name)) facts->has_name = true;
  }
  return true;
}

static bool read_purposes(der_view value, certificate_facts *facts) {
  der_view purposes, purpose;
  if (!take(&value, SEQUENCE, &purposes)) return false;
  while (purposes.length > 0) {
    if (!take(&purposes, OBJECT_IDENTIFIER, &purpose)) return false;
    if (is(&purpose, server_auth, sizeof server_auth)) facts->for_servers = true;
  }
  return true;
}

static bool read_extension(der_view extension, const char *name, certificate_facts *facts) {
  der_view identifier, critical, value;
  if (!take(&extension, OBJECT_IDENTIFIER, &identifier)) return false;
  if (next_is(&extension, BOOLEAN) && !take(&extension, BOOLEAN, &critical)) return false;
  if (!take(&extension, OCTET_STRING, &value)) return false;
  if (is(&identifier, basic_constraints, sizeof basic_constraints)) {
    return read_constraints(value, facts);
  }
  if (is(&identifier, alternative_names, sizeof alternative_names)) {
    return read_names(value, name, facts);
  }
  if (is(&identifier, extended_key_usage, sizeof extended_key_usage)) {
    return read_purposes(value, facts);
  }
  return true;
}

bool certificate_read(const uint8_t *bytes, size_t length, const char *name,
                      certificate_facts *facts) {
  der_view all = {bytes, length}, certificate, body, dates, wrapped, extensions, extension;
  memset(facts, 0, sizeof *facts);
  if (!take(&all, SEQUENCE, &certificate) || all.length > 0) return false;
  if (!take(&certificate, SEQUENCE, &body)) return false;
  if (next_is(&body, VERSION) && !skip(&body)) return false;
  /* Serial number, signature algorithm, issuer. */
  if (!skip(&body) || !skip(&body) || !skip(&body)) return false;
  if (!take(&body, SEQUENCE, &dates)) return false;
  if (!take_time(&dates, &facts->not_before) || !take_time(&dates, &facts->not_after)) return false;
  while (body.length > 0 && !next_is(&body, EXTENSIONS)) {
    if (!skip(&body)) return false;
  }
  if (body.length == 0) return true;
  if (!take(&body, EXTENSIONS, &wrapped) || !take(&wrapped, SEQUENCE, &extensions)) return false;
  while (extensions.length > 0) {
    if (!take(&extensions, SEQUENCE, &extension)) return false;
    if (!read_extension(extension, name, facts)) return false;
  }
  return true;
}
