/* Refuses tool calls whose arguments hold a forbidden word. */
#define SLUICE_ON_REQUEST
#define SLUICE_IMPLEMENTATION
#include <sluice.h>

static const char *const SCHEMA =
    "{\"type\":\"object\",\"properties\":{"
    "\"words\":{\"description\":\"Regular expressions; upper and lower case are the same.\",\"type\":\"array\","
    "\"items\":{\"type\":\"string\",\"minLength\":1},\"minItems\":1,\"default\":[\"forbidden\"]}},"
    "\"additionalProperties\":false}";

void sluice_describe(sluice_manifest_t *m) {
  sluice_manifest(m, "my-plugin", "0.1.0", "Refuses tool calls whose arguments hold a forbidden word.");
  sluice_schema(m, SCHEMA);
  sluice_select(m, EXPORTS_SLUICE_FILTER_DESCRIBE_HOOK_ON_REQUEST, "tools/call", NULL);
  m->stateless = true;
}

bool sluice_init(sluice_string_t config, sluice_string_t *error) {
  sluice_string_t list, item, rest;
  size_t count = 0;
  sluice_json_member(config, "words", &list);
  for (rest = list; sluice_json_next(&rest, &item);) count++;
  /* Regular expressions, run by the host: the arguments never enter the plugin. */
  sluice_filter_patterns_list_pattern_t words = {calloc(count, sizeof *words.ptr), 0};
  if (!words.ptr) abort();
  while (sluice_json_next(&list, &item)) {
    words.ptr[words.len].regex = sluice_json_text(item);
    words.ptr[words.len++].case_insensitive = true;
  }
  sluice_string_t name = sluice_str("words");
  bool done = sluice_filter_patterns_define(&name, &words, error);
  for (size_t i = 0; i < words.len; i++) sluice_string_free(&words.ptr[i].regex);
  free(words.ptr);
  return done;
}

sluice_verdict_t sluice_on_request(const sluice_head_t *head, sluice_exchange_t x) {
  (void)head;
  sluice_hits_t hits;
  sluice_access_error_t error;
  if (!sluice_scan(x, "words", "/params/arguments", &hits, &error)) {
    sluice_filter_types_access_error_free(&error);
    return sluice_reject(4001, "these arguments cannot be examined");
  }
  size_t count = hits.len;
  sluice_hits_free(&hits);
  if (count == 0) return sluice_next();
  /* A label, for the audit log and for filters that come later. */
  sluice_buf_t number = {0};
  sluice_buf_add_number(&number, (int64_t)count);
  sluice_string_t said = sluice_buf_take(&number);
  sluice_set_attr(x, "hits", said);
  sluice_string_free(&said);
  return sluice_reject(4000, "a word in these arguments is forbidden");
}
