/* Takes the structured part out of results for callers without the scope `raw`. */
#define SLUICE_ON_RESPONSE
#define SLUICE_IMPLEMENTATION
#include <sluice.h>

static const char *const PART = "/result/structuredContent";

void sluice_describe(sluice_manifest_t *m) {
  sluice_manifest(m, "example-on-response", "0.1.0", "Takes the structured part out of results for callers without the scope raw.");
  sluice_select(m, EXPORTS_SLUICE_FILTER_DESCRIBE_HOOK_ON_RESPONSE, "tools/call", NULL);
  sluice_edits(m, PART);
  m->stateless = true;
}

bool sluice_init(sluice_string_t config, sluice_string_t *error) {
  (void)config, (void)error;
  return true;
}

static bool has_scope(sluice_exchange_t x, const char *wanted) {
  sluice_string_t scopes;
  if (!sluice_attr(x, "principal.scopes", &scopes)) return false;
  bool found = false;
  for (size_t start = 0, end; start < scopes.len && !found; start = end + 1) {
    for (end = start; end < scopes.len && scopes.ptr[end] != ' ';) end++;
    sluice_string_t one = {scopes.ptr + start, end - start};
    found = sluice_is(one, wanted);
  }
  sluice_string_free(&scopes);
  return found;
}

sluice_verdict_t sluice_on_response(const sluice_head_t *head, sluice_exchange_t x) {
  (void)head;
  sluice_string_t json;
  if (has_scope(x, "raw") || !sluice_get(x, PART, &json)) return sluice_next();
  sluice_string_free(&json);
  sluice_edit_t remove = {0};
  remove.tag = SLUICE_FILTER_PAYLOAD_EDIT_REMOVE;
  remove.val.remove = sluice_str(PART);
  return sluice_stage(x, &remove, 1) ? sluice_next() : sluice_reject(4031, "this result may not be shown");
}
