/* Masks mail addresses in results. */
#define SLUICE_ON_RESPONSE
#define SLUICE_IMPLEMENTATION
#include <sluice.h>

void sluice_describe(sluice_manifest_t *m) {
  sluice_manifest(m, "example-patterns", "0.1.0", "Masks mail addresses in results.");
  sluice_select(m, EXPORTS_SLUICE_FILTER_DESCRIBE_HOOK_ON_RESPONSE, "tools/call", NULL);
  sluice_edits(m, "/result/**");
  m->stateless = true;
}

bool sluice_init(sluice_string_t config, sluice_string_t *error) {
  (void)config;
  sluice_filter_patterns_pattern_t address = {sluice_str("[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\\.[A-Za-z0-9-]+)+"), false};
  sluice_filter_patterns_list_pattern_t set = {&address, 1};
  sluice_string_t name = sluice_str("addresses");
  return sluice_filter_patterns_define(&name, &set, error);
}

/* What was found is replaced where it stands, in a text or in the name of a member. */
static sluice_edit_t masked(const sluice_hit_t *hit) {
  sluice_edit_t edit = sluice_splice(hit->pointer, hit->start, hit->end, sluice_str("[address]"));
  if (hit->in_key) edit.tag = SLUICE_FILTER_PAYLOAD_EDIT_SPLICE_KEY;
  return edit;
}

sluice_verdict_t sluice_on_response(const sluice_head_t *head, sluice_exchange_t x) {
  (void)head;
  sluice_hits_t hits;
  sluice_access_error_t error;
  /* What cannot be examined does not pass. */
  if (!sluice_scan(x, "addresses", "/result", &hits, &error)) {
    sluice_filter_types_access_error_free(&error);
    return sluice_reject(4033, "this result cannot be examined");
  }
  sluice_edit_t *edits = calloc(hits.len + 1, sizeof *edits);
  if (!edits) abort();
  for (size_t i = 0; i < hits.len; i++) edits[i] = masked(&hits.ptr[i]);
  bool staged = sluice_stage(x, edits, hits.len);
  free(edits);
  sluice_hits_free(&hits);
  return staged ? sluice_next() : sluice_reject(4033, "this result cannot be examined");
}
