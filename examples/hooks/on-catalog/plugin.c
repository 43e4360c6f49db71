/* Hides destructive tools from callers without the scope `admin`. */
#define SLUICE_ON_CATALOG
#define SLUICE_IMPLEMENTATION
#include <sluice.h>

void sluice_describe(sluice_manifest_t *m) {
  sluice_manifest(m, "example-on-catalog", "0.1.0", "Hides destructive tools from callers without the scope admin.");
  m->stateless = true;
}

bool sluice_init(sluice_string_t config, sluice_string_t *error) {
  (void)config, (void)error;
  return true;
}

static bool has_scope(sluice_viewer_t v, const char *wanted) {
  sluice_string_t key = sluice_str("principal.scopes"), scopes;
  if (!sluice_filter_catalog_method_viewer_attr(v, &key, &scopes)) return false;
  bool found = false;
  for (size_t start = 0, end; start < scopes.len && !found; start = end + 1) {
    for (end = start; end < scopes.len && scopes.ptr[end] != ' ';) end++;
    sluice_string_t one = {scopes.ptr + start, end - start};
    found = sluice_is(one, wanted);
  }
  sluice_string_free(&scopes);
  return found;
}

static bool is_destructive(sluice_viewer_t v, uint32_t at) {
  sluice_string_t definition, annotations, hint;
  if (!sluice_filter_catalog_method_viewer_definition(v, at, &definition)) return false;
  bool found = sluice_json_member(definition, "annotations", &annotations) &&
               sluice_json_member(annotations, "destructiveHint", &hint) && sluice_is(hint, "true");
  sluice_string_free(&definition);
  return found;
}

sluice_answer_t sluice_on_catalog(sluice_viewer_t v, sluice_list_kind_t kind, const sluice_entries_t *entries) {
  sluice_answer_t answer = {0};
  if (kind != EXPORTS_SLUICE_FILTER_ON_CATALOG_LIST_KIND_TOOLS || has_scope(v, "admin") || entries->len == 0) return answer;
  answer.changes.ptr = calloc(entries->len, sizeof *answer.changes.ptr);
  if (!answer.changes.ptr) abort();
  answer.changes.len = entries->len;
  for (size_t at = 0; at < entries->len; at++) {
    answer.changes.ptr[at].tag = is_destructive(v, (uint32_t)at) ? EXPORTS_SLUICE_FILTER_ON_CATALOG_CHANGE_HIDE
                                                                 : EXPORTS_SLUICE_FILTER_ON_CATALOG_CHANGE_KEEP;
  }
  return answer;
}
