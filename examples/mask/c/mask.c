/* Masks addresses, card numbers and tokens, and refuses private keys. The same filter as its neighbours in other languages. */
#define SLUICE_ON_REQUEST
#define SLUICE_ON_RESPONSE
#define SLUICE_IMPLEMENTATION
#include <sluice.h>

enum { EMAIL, CARD, TOKEN, PRIVATE_KEY, DETECTORS };
static const char *const NAMES[DETECTORS] = {"email", "card", "token", "private-key"};
static const char *const REGEXES[DETECTORS] = {
    "[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\\.[A-Za-z0-9-]+)+",
    "\\b[0-9]{4}(?:[ -]?[0-9]{4}){3}\\b",
    "\\b(?:ghp|sk)_[A-Za-z0-9]{16,}",
    "-----BEGIN [A-Z ]*PRIVATE KEY-----",
};
static const char *const SCHEMA =
    "{\"type\":\"object\",\"properties\":{"
    "\"detectors\":{\"type\":\"array\",\"items\":{\"enum\":[\"email\",\"card\",\"token\",\"private-key\"]},"
    "\"default\":[\"email\",\"card\",\"token\",\"private-key\"],\"minItems\":1,\"uniqueItems\":true},"
    "\"hooks\":{\"type\":\"array\",\"items\":{\"enum\":[\"on-request\",\"on-response\"]},\"default\":[\"on-request\",\"on-response\"]},"
    "\"mark\":{\"type\":\"string\",\"default\":\"masked\"}},\"additionalProperties\":false}";

/* Which detector each pattern of the set is. The schema lets each stand once. */
static int chosen[DETECTORS];
static size_t chosen_count;
static bool on_request, on_response;
static sluice_string_t mark;

void sluice_describe(sluice_manifest_t *m) {
  sluice_manifest(m, "mask-c", "0.1.0", "Masks addresses, card numbers and tokens; refuses private keys.");
  sluice_schema(m, SCHEMA);
  sluice_select(m, EXPORTS_SLUICE_FILTER_DESCRIBE_HOOK_ON_REQUEST, "tools/call", NULL);
  sluice_select(m, EXPORTS_SLUICE_FILTER_DESCRIBE_HOOK_ON_RESPONSE, "tools/call", NULL);
  sluice_edits(m, "/params/arguments/**");
  sluice_edits(m, "/result/**");
  m->stateless = true;
}

bool sluice_init(sluice_string_t config, sluice_string_t *error) {
  sluice_filter_patterns_pattern_t patterns[DETECTORS] = {0};
  sluice_string_t list, item;
  on_request = on_response = false;
  chosen_count = 0;
  sluice_json_member(config, "detectors", &list);
  while (sluice_json_next(&list, &item)) {
    sluice_string_t name = sluice_json_text(item);
    for (int i = 0; i < DETECTORS && chosen_count < DETECTORS; i++) {
      if (!sluice_is(name, NAMES[i])) continue;
      patterns[chosen_count].regex = sluice_str(REGEXES[i]);
      chosen[chosen_count++] = i;
    }
    sluice_string_free(&name);
  }
  sluice_json_member(config, "hooks", &list);
  while (sluice_json_next(&list, &item)) {
    on_request |= sluice_is(item, "\"on-request\"");
    on_response |= sluice_is(item, "\"on-response\"");
  }
  sluice_json_member(config, "mark", &item);
  mark = sluice_json_text(item);
  sluice_string_t name = sluice_str("mask");
  sluice_filter_patterns_list_pattern_t set = {patterns, chosen_count};
  return sluice_filter_patterns_define(&name, &set, error);
}

/* Is this the number of a card? */
static bool luhn(sluice_string_t text) {
  unsigned sum = 0, place = 0;
  for (size_t i = text.len; i-- > 0;) {
    if (text.ptr[i] < '0' || text.ptr[i] > '9') continue;
    unsigned digit = text.ptr[i] - '0';
    sum += place++ % 2 == 0 ? digit : digit * 2 - (digit > 4 ? 9 : 0);
  }
  return sum % 10 == 0;
}

static int by_place(const void *a, const void *b) {
  const sluice_hit_t *x = a, *y = b;
  size_t shorter = x->pointer.len < y->pointer.len ? x->pointer.len : y->pointer.len;
  int order = memcmp(x->pointer.ptr, y->pointer.ptr, shorter);
  if (order) return order;
  if (x->pointer.len != y->pointer.len) return x->pointer.len < y->pointer.len ? -1 : 1;
  if (x->start != y->start) return x->start < y->start ? -1 : 1;
  if (x->end != y->end) return x->end > y->end ? -1 : 1;
  return (int)x->pattern - (int)y->pattern;
}

/* Stages what is to go, string by string; hits that overlap go together, under the name of the first. */
static bool stage(sluice_exchange_t x, sluice_hit_t *hits, size_t count) {
  qsort(hits, count, sizeof *hits, by_place);
  sluice_edit_t *edits = calloc(count, sizeof *edits);
  if (!edits) abort();
  size_t spans = 0;
  for (size_t i = 0; i < count; i++) {
    sluice_edit_t *last = spans ? &edits[spans - 1] : NULL;
    if (last && sluice_equal(last->val.splice.f0, hits[i].pointer) && hits[i].start < last->val.splice.f2) {
      if (hits[i].end > last->val.splice.f2) last->val.splice.f2 = hits[i].end;
      continue;
    }
    sluice_buf_t veil = {0};
    sluice_buf_add_text(&veil, "[");
    sluice_buf_add(&veil, mark);
    sluice_buf_add_text(&veil, ":");
    sluice_buf_add_text(&veil, NAMES[chosen[hits[i].pattern]]);
    sluice_buf_add_text(&veil, "]");
    edits[spans++] = sluice_splice(hits[i].pointer, hits[i].start, hits[i].end, sluice_buf_take(&veil));
  }
  bool done = sluice_stage(x, edits, spans);
  for (size_t i = 0; i < spans; i++) sluice_string_free(&edits[i].val.splice.f3);
  free(edits);
  return done;
}

static sluice_verdict_t refuse_unseen(sluice_access_error_t *error) {
  static const char *const WHY[] = {"this message cannot be examined (denied)", "this message cannot be examined (bad-pointer)",
                                    "this message cannot be examined (too-large)"};
  sluice_verdict_t no = sluice_reject(4033, WHY[error->tag]);
  sluice_filter_types_access_error_free(error);
  return no;
}

static sluice_verdict_t judge(sluice_exchange_t x, sluice_hits_t *hits) {
  bool key = false, name = false;
  size_t count = 0;
  for (size_t i = 0; i < hits->len; i++) {
    int detector = chosen[hits->ptr[i].pattern];
    if (detector == CARD && !luhn(hits->ptr[i].text)) continue;
    key |= detector == PRIVATE_KEY;
    name |= hits->ptr[i].in_key;
    /* Those that count go to the front; they change places, so that all are freed. */
    sluice_hit_t front = hits->ptr[count];
    hits->ptr[count++] = hits->ptr[i];
    hits->ptr[i] = front;
  }
  if (key) return sluice_reject(4031, "a private key may not pass here");
  if (name) return sluice_reject(4032, "the name of a member holds what may not pass here");
  if (count == 0) return sluice_next();
  sluice_buf_t number = {0};
  sluice_buf_add_number(&number, (int64_t)count);
  sluice_string_t said = sluice_buf_take(&number);
  bool done = stage(x, hits->ptr, count) && sluice_set_attr(x, "hits", said);
  sluice_string_free(&said);
  return done ? sluice_next() : sluice_reject(4033, "this message cannot be examined (denied)");
}

static sluice_verdict_t look(sluice_exchange_t x, const char *root) {
  sluice_hits_t hits;
  sluice_access_error_t error;
  if (!sluice_scan(x, "mask", root, &hits, &error)) return refuse_unseen(&error);
  sluice_verdict_t verdict = judge(x, &hits);
  sluice_hits_free(&hits);
  return verdict;
}

sluice_verdict_t sluice_on_request(const sluice_head_t *head, sluice_exchange_t x) {
  (void)head;
  return on_request ? look(x, "/params/arguments") : sluice_next();
}

sluice_verdict_t sluice_on_response(const sluice_head_t *head, sluice_exchange_t x) {
  (void)head;
  return on_response ? look(x, "/result") : sluice_next();
}
