/* Write Sluice plugins in C.
 *
 * A plugin is one C file. It says which hooks it has, includes this header with SLUICE_IMPLEMENTATION, and writes one
 * function a hook:
 *
 *     #define SLUICE_ON_REQUEST
 *     #define SLUICE_IMPLEMENTATION
 *     #include <sluice.h>
 *
 *     void sluice_describe(sluice_manifest_t *m) { sluice_manifest(m, "deny", "0.1.0", "Refuses one tool."); }
 *     bool sluice_init(sluice_string_t config, sluice_string_t *error) { return true; }
 *     sluice_verdict_t sluice_on_request(const sluice_head_t *head, sluice_exchange_t x) { return sluice_next(); }
 *
 * Ownership. What a hook is given is lent: it is freed after the hook. What the host gives back is the plugin's: free it
 * (`sluice_string_free`, `sluice_hits_free`, …). What is passed to the host is only read. What a hook returns is the host's,
 * and must be malloc'ed: the helpers here copy the text they are given into what they return.
 *
 * Whatever has no helper here is used by the name that contract.h has for it. Imports that are never called are not in the
 * component.
 */
#ifndef SLUICE_H
#define SLUICE_H

#include "contract.h"
#include <stdlib.h>
#include <string.h>

typedef sluice_filter_types_head_t sluice_head_t;
typedef sluice_filter_types_borrow_exchange_t sluice_exchange_t;
typedef sluice_filter_types_verdict_t sluice_verdict_t;
typedef sluice_filter_types_rejection_t sluice_rejection_t;
typedef sluice_filter_types_access_error_t sluice_access_error_t;
typedef sluice_filter_payload_edit_t sluice_edit_t;
typedef sluice_filter_patterns_hit_t sluice_hit_t;
typedef sluice_filter_patterns_list_hit_t sluice_hits_t;
typedef exports_sluice_filter_describe_manifest_t sluice_manifest_t;
typedef sluice_filter_chunks_borrow_batch_t sluice_batch_t;
typedef sluice_filter_chunks_list_chunk_t sluice_chunks_t;
typedef sluice_filter_chunks_list_hit_t sluice_chunk_hits_t;
typedef exports_sluice_filter_on_chunk_chunk_verdict_t sluice_chunk_verdict_t;
typedef exports_sluice_filter_on_notification_notification_verdict_t sluice_notification_verdict_t;
typedef exports_sluice_filter_authenticate_credential_t sluice_credential_t;
typedef exports_sluice_filter_authenticate_outcome_t sluice_outcome_t;
typedef exports_sluice_filter_on_catalog_answer_t sluice_answer_t;
typedef exports_sluice_filter_on_catalog_list_entry_t sluice_entries_t;
typedef exports_sluice_filter_on_catalog_list_kind_t sluice_list_kind_t;
typedef sluice_filter_catalog_borrow_viewer_t sluice_viewer_t;
typedef exports_sluice_filter_on_http_request_t sluice_http_request_t;
typedef exports_sluice_filter_on_http_response_t sluice_http_response_t;
typedef sluice_filter_outbound_borrow_departure_t sluice_departure_t;
typedef exports_sluice_filter_on_outbound_outbound_verdict_t sluice_outbound_verdict_t;
typedef exports_sluice_filter_on_done_done_t sluice_done_t;

/* ---- what the plugin writes ---- */

/* What the plugin says about itself; runs without any power. See `sluice_manifest`. */
void sluice_describe(sluice_manifest_t *m);
/* Settings: a JSON object that fits the manifest's schema (see json.h). On false, `error` is for the operator, malloc'ed. */
bool sluice_init(sluice_string_t config, sluice_string_t *error);

/* Each with the macro of its name: SLUICE_AUTHENTICATE, SLUICE_ON_REQUEST, … */
sluice_outcome_t sluice_authenticate(const sluice_credential_t *c, sluice_exchange_t x);
sluice_http_response_t sluice_on_http(const sluice_http_request_t *request, sluice_exchange_t x);
sluice_verdict_t sluice_on_request(const sluice_head_t *head, sluice_exchange_t x);
sluice_outbound_verdict_t sluice_on_outbound(sluice_departure_t d, sluice_exchange_t x);
sluice_verdict_t sluice_on_response(const sluice_head_t *head, sluice_exchange_t x);
sluice_chunk_verdict_t sluice_on_chunk(const sluice_head_t *head, sluice_batch_t b, sluice_exchange_t x);
sluice_notification_verdict_t sluice_on_notification(const sluice_head_t *head, sluice_exchange_t x);
sluice_answer_t sluice_on_catalog(sluice_viewer_t v, sluice_list_kind_t kind, const sluice_entries_t *entries);
void sluice_on_done(const sluice_head_t *head, const sluice_done_t *d, sluice_exchange_t x);

/* ---- strings ---- */

/* Text that stays the caller's: to be passed to the host, not to be freed. */
static inline sluice_string_t sluice_str(const char *text) {
  sluice_string_t s = {(uint8_t *)text, strlen(text)};
  return s;
}

/* A copy that is the caller's. */
static inline sluice_string_t sluice_copy(sluice_string_t s) {
  sluice_string_t out = {NULL, 0};
  sluice_string_dup_n(&out, (const char *)s.ptr, s.len);
  return out;
}

static inline sluice_string_t sluice_copied(const char *text) { return sluice_copy(sluice_str(text)); }

static inline bool sluice_equal(sluice_string_t a, sluice_string_t b) { return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0; }

static inline bool sluice_is(sluice_string_t s, const char *text) { return sluice_equal(s, sluice_str(text)); }

/* Text that grows. Start with {0}; `sluice_buf_take` hands it over, malloc'ed, and leaves nothing. */
typedef struct {
  uint8_t *ptr;
  size_t len, room;
} sluice_buf_t;

static inline void sluice_buf_add(sluice_buf_t *b, sluice_string_t s) {
  if (b->len + s.len > b->room) {
    b->room = (b->len + s.len) * 2;
    b->ptr = realloc(b->ptr, b->room);
    if (!b->ptr) abort();
  }
  if (s.len) memcpy(b->ptr + b->len, s.ptr, s.len);
  b->len += s.len;
}

static inline void sluice_buf_add_text(sluice_buf_t *b, const char *text) { sluice_buf_add(b, sluice_str(text)); }

static inline void sluice_buf_add_number(sluice_buf_t *b, int64_t number) {
  uint8_t digits[20];
  size_t at = sizeof digits;
  uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
  do digits[--at] = (uint8_t)('0' + left % 10);
  while (left /= 10);
  if (number < 0) sluice_buf_add_text(b, "-");
  sluice_string_t s = {digits + at, sizeof digits - at};
  sluice_buf_add(b, s);
}

static inline sluice_string_t sluice_buf_take(sluice_buf_t *b) {
  sluice_string_t s = {b->ptr, b->len};
  memset(b, 0, sizeof *b);
  return s;
}

/* ---- the manifest ---- */

/* A plugin that takes no settings, needs nothing, edits nothing and hooks everything it exports. */
void sluice_manifest(sluice_manifest_t *m, const char *name, const char *version, const char *summary);
/* JSON Schema 2020-12 of the settings; the host fills in its defaults. */
void sluice_schema(sluice_manifest_t *m, const char *schema);
/* A capability, and why. */
void sluice_need(sluice_manifest_t *m, const char *capability, const char *reason, bool optional);
/* Narrows a hook (EXPORTS_SLUICE_FILTER_DESCRIBE_HOOK_…) to a method and names, both globs; NULL: all. Repeat it for more. */
void sluice_select(sluice_manifest_t *m, exports_sluice_filter_describe_hook_t hook, const char *method, const char *name);
/* Where `sluice_on_http` answers, below /.well-known/ or /-/<plugin's name>/. */
void sluice_route(sluice_manifest_t *m, const char *path, const char *method);
/* A path the plugin edits, as a glob over JSON pointers. */
void sluice_edits(sluice_manifest_t *m, const char *glob);

/* ---- head, verdicts ---- */

/* A method by its name in the protocol: `tools/call`. Lives as long as the head. */
sluice_string_t sluice_method(const sluice_head_t *head);

static inline sluice_verdict_t sluice_next(void) {
  sluice_verdict_t v = {0};
  v.tag = SLUICE_FILTER_TYPES_VERDICT_NEXT;
  return v;
}

/* A policy's no. `code` lies outside -32768..-32000; `message` never holds the data that was the reason. */
static inline sluice_rejection_t sluice_rejection(int32_t code, const char *message) {
  sluice_rejection_t no = {0};
  no.code = code;
  no.message = sluice_copied(message);
  return no;
}

static inline sluice_verdict_t sluice_reject_with(sluice_rejection_t no) {
  sluice_verdict_t v = {0};
  v.tag = SLUICE_FILTER_TYPES_VERDICT_REJECT;
  v.val.reject = no;
  return v;
}

static inline sluice_verdict_t sluice_reject(int32_t code, const char *message) {
  return sluice_reject_with(sluice_rejection(code, message));
}

/* Answer with this `result` object. */
static inline sluice_verdict_t sluice_reply(const char *json) {
  sluice_verdict_t v = {0};
  v.tag = SLUICE_FILTER_TYPES_VERDICT_REPLY;
  v.val.reply = sluice_copied(json);
  return v;
}

/* Of a request: ask the person behind the client, with a form (JSON Schema of an object; without members: yes or no). The
 * answer is in the attributes `<plugin>.answer.action` and `<plugin>.answer.content` when the chain runs again. */
static inline sluice_verdict_t sluice_suspend(const char *message, const char *schema, uint32_t ttl_ms) {
  sluice_verdict_t v = {0};
  v.tag = SLUICE_FILTER_TYPES_VERDICT_SUSPEND;
  v.val.suspend.message = sluice_copied(message);
  v.val.suspend.ask.tag = SLUICE_FILTER_TYPES_ASK_FORM;
  v.val.suspend.ask.val.form = sluice_copied(schema);
  v.val.suspend.ttl_ms = ttl_ms;
  return v;
}

/* Of a request that is about to leave: go on; add headers to it with the next two. */
static inline sluice_outbound_verdict_t sluice_leave(void) {
  sluice_outbound_verdict_t v = {0};
  v.tag = EXPORTS_SLUICE_FILTER_ON_OUTBOUND_OUTBOUND_VERDICT_NEXT;
  return v;
}

void sluice_header(sluice_outbound_verdict_t *v, const char *name, const char *value);
/* The value is `prefix` and the secret, which is the host's from here on. Imports `secrets`. */
void sluice_header_secret(sluice_outbound_verdict_t *v, const char *name, const char *prefix, sluice_filter_secrets_own_secret_t secret);

/* Of a batch: let it go on; change it with the next one. */
static inline sluice_chunk_verdict_t sluice_let_go(void) {
  sluice_chunk_verdict_t v = {0};
  v.tag = EXPORTS_SLUICE_FILTER_ON_CHUNK_CHUNK_VERDICT_NEXT;
  return v;
}

/* Of the text of a chunk, bytes [start, end) are to be `text`, which is copied. */
void sluice_chunk_splice(sluice_chunk_verdict_t *v, uint32_t chunk, uint32_t start, uint32_t end, const char *text);
static inline sluice_chunk_verdict_t sluice_break_off(sluice_rejection_t no) {
  sluice_chunk_verdict_t v = {0};
  v.tag = EXPORTS_SLUICE_FILTER_ON_CHUNK_CHUNK_VERDICT_REJECT;
  v.val.reject = no;
  return v;
}

/* The texts of a batch. On true they are the caller's (`sluice_chunks_free`), on false `error` is. */
static inline bool sluice_chunks(sluice_batch_t b, sluice_chunks_t *chunks, sluice_access_error_t *error) {
  return sluice_filter_chunks_method_batch_chunks(b, chunks, error);
}

static inline void sluice_chunks_free(sluice_chunks_t *chunks) { sluice_filter_chunks_list_chunk_free(chunks); }

/* All hits of a set in a batch, whole however the text is cut. */
static inline bool sluice_scan_chunks(sluice_batch_t b, const char *set, sluice_chunk_hits_t *hits, sluice_access_error_t *error) {
  sluice_string_t s = sluice_str(set);
  return sluice_filter_chunks_method_batch_scan(b, &s, hits, error);
}

static inline void sluice_chunk_hits_free(sluice_chunk_hits_t *hits) { sluice_filter_chunks_list_hit_free(hits); }

/* ---- the exchange ---- */

/* An attribute by its whole key. On true `value` is the caller's. */
static inline bool sluice_attr(sluice_exchange_t x, const char *key, sluice_string_t *value) {
  sluice_string_t k = sluice_str(key);
  return sluice_filter_types_method_exchange_attr(x, &k, value);
}

/* Sets `<this plugin>.<key>`. False: it is too large or not allowed. */
static inline bool sluice_set_attr(sluice_exchange_t x, const char *key, sluice_string_t value) {
  sluice_string_t k = sluice_str(key);
  sluice_access_error_t error;
  bool done = sluice_filter_types_method_exchange_set_attr(x, &k, &value, &error);
  if (!done) sluice_filter_types_access_error_free(&error);
  return done;
}

/* The value at a JSON pointer, as JSON text. On true it is the caller's. Imports `payload`. */
static inline bool sluice_get(sluice_exchange_t x, const char *pointer, sluice_string_t *json) {
  sluice_string_t p = sluice_str(pointer);
  return sluice_filter_payload_get(x, &p, json);
}

/* Of the string at `pointer`, bytes [start, end) are to be `text`. Nothing is copied: all parts have to live until `stage`. */
static inline sluice_edit_t sluice_splice(sluice_string_t pointer, uint32_t start, uint32_t end, sluice_string_t text) {
  sluice_edit_t e = {0};
  e.tag = SLUICE_FILTER_PAYLOAD_EDIT_SPLICE;
  e.val.splice.f0 = pointer;
  e.val.splice.f1 = start;
  e.val.splice.f2 = end;
  e.val.splice.f3 = text;
  return e;
}

/* Stages edits, all against the message as this hook received it; they apply with `sluice_next()`. Imports `payload`. */
static inline bool sluice_stage(sluice_exchange_t x, sluice_edit_t *edits, size_t count) {
  sluice_filter_payload_list_edit_t list = {edits, count};
  sluice_access_error_t error;
  bool done = sluice_filter_payload_stage(x, &list, &error);
  if (!done) sluice_filter_types_access_error_free(&error);
  return done;
}

/* All hits of a set at or below `root`. On true `hits` is the caller's (`sluice_hits_free`), on false `error` is. Imports
 * `patterns`. */
static inline bool sluice_scan(sluice_exchange_t x, const char *set, const char *root, sluice_hits_t *hits, sluice_access_error_t *error) {
  sluice_string_t s = sluice_str(set), r = sluice_str(root);
  sluice_list_string_t roots = {&r, 1};
  return sluice_filter_patterns_scan(x, &s, &roots, hits, error);
}

static inline void sluice_hits_free(sluice_hits_t *hits) { sluice_filter_patterns_list_hit_free(hits); }

/* A log line without fields. */
static inline void sluice_log(sluice_filter_log_level_t level, const char *message) {
  sluice_string_t m = sluice_str(message);
  sluice_list_tuple2_string_string_t none = {NULL, 0};
  sluice_filter_log_log(level, &m, &none);
}

#include "json.h"
#ifdef SLUICE_IMPLEMENTATION
#include "implementation.h"
#endif
#endif
