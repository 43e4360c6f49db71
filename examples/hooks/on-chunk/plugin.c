/* Hides account numbers in long results. */
#define SLUICE_ON_CHUNK
#define SLUICE_IMPLEMENTATION
#include <sluice.h>

void sluice_describe(sluice_manifest_t *m) {
  sluice_manifest(m, "example-on-chunk", "0.1.0", "Hides account numbers in long results.");
  sluice_select(m, EXPORTS_SLUICE_FILTER_DESCRIBE_HOOK_ON_CHUNK, "tools/call", NULL);
  sluice_edits(m, "/result/**");
  m->overlap = 64;
  m->stateless = true;
}

bool sluice_init(sluice_string_t config, sluice_string_t *error) {
  (void)config;
  sluice_filter_patterns_pattern_t pattern = {sluice_str("ACC-[0-9]{6,60}"), false};
  sluice_filter_patterns_list_pattern_t set = {&pattern, 1};
  sluice_string_t name = sluice_str("accounts");
  return sluice_filter_patterns_define(&name, &set, error);
}

sluice_chunk_verdict_t sluice_on_chunk(const sluice_head_t *head, sluice_batch_t b, sluice_exchange_t x) {
  (void)head, (void)x;
  sluice_chunk_verdict_t verdict = sluice_let_go();
  sluice_chunk_hits_t hits;
  sluice_access_error_t error;
  if (!sluice_scan_chunks(b, "accounts", &hits, &error)) {
    sluice_filter_types_access_error_free(&error);
    return sluice_break_off(sluice_rejection(4032, "this result cannot be looked through"));
  }
  bool in_key = false;
  for (size_t i = 0; i < hits.len; i++) in_key |= hits.ptr[i].key;
  for (size_t i = 0; i < hits.len && !in_key; i++)
    sluice_chunk_splice(&verdict, hits.ptr[i].chunk, hits.ptr[i].start, hits.ptr[i].end, "ACC-***");
  sluice_chunk_hits_free(&hits);
  if (in_key) return sluice_break_off(sluice_rejection(4031, "this result holds account numbers where they cannot be hidden"));
  return verdict;
}
