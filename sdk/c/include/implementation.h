/* What stands once in a plugin: the contract's side, and the functions of sluice.h that are not inline. */
#ifdef __wasm__
#include "contract.c"
#endif

/* The contract writes `-` for `/` and `_`, so the names of the protocol have to be told apart here. */
static const char *const SLUICE_METHODS[SLUICE_FILTER_TYPES_METHOD_OTHER] = {
    [SLUICE_FILTER_TYPES_METHOD_TOOLS_LIST] = "tools/list",
    [SLUICE_FILTER_TYPES_METHOD_TOOLS_CALL] = "tools/call",
    [SLUICE_FILTER_TYPES_METHOD_RESOURCES_LIST] = "resources/list",
    [SLUICE_FILTER_TYPES_METHOD_RESOURCES_TEMPLATES_LIST] = "resources/templates/list",
    [SLUICE_FILTER_TYPES_METHOD_RESOURCES_READ] = "resources/read",
    [SLUICE_FILTER_TYPES_METHOD_RESOURCES_SUBSCRIBE] = "resources/subscribe",
    [SLUICE_FILTER_TYPES_METHOD_RESOURCES_UNSUBSCRIBE] = "resources/unsubscribe",
    [SLUICE_FILTER_TYPES_METHOD_PROMPTS_LIST] = "prompts/list",
    [SLUICE_FILTER_TYPES_METHOD_PROMPTS_GET] = "prompts/get",
    [SLUICE_FILTER_TYPES_METHOD_COMPLETION_COMPLETE] = "completion/complete",
    [SLUICE_FILTER_TYPES_METHOD_SUBSCRIPTIONS_LISTEN] = "subscriptions/listen",
    [SLUICE_FILTER_TYPES_METHOD_SAMPLING_CREATE_MESSAGE] = "sampling/createMessage",
    [SLUICE_FILTER_TYPES_METHOD_ROOTS_LIST] = "roots/list",
    [SLUICE_FILTER_TYPES_METHOD_ELICITATION_CREATE] = "elicitation/create",
    [SLUICE_FILTER_TYPES_METHOD_TASKS_GET] = "tasks/get",
    [SLUICE_FILTER_TYPES_METHOD_TASKS_CANCEL] = "tasks/cancel",
    [SLUICE_FILTER_TYPES_METHOD_TASKS_RESULT] = "tasks/result",
    [SLUICE_FILTER_TYPES_METHOD_TASKS_LIST] = "tasks/list",
    [SLUICE_FILTER_TYPES_METHOD_TASKS_UPDATE] = "tasks/update",
    [SLUICE_FILTER_TYPES_METHOD_NOTIFICATIONS_CANCELLED] = "notifications/cancelled",
    [SLUICE_FILTER_TYPES_METHOD_NOTIFICATIONS_PROGRESS] = "notifications/progress",
    [SLUICE_FILTER_TYPES_METHOD_NOTIFICATIONS_MESSAGE] = "notifications/message",
    [SLUICE_FILTER_TYPES_METHOD_NOTIFICATIONS_ROOTS_LIST_CHANGED] = "notifications/roots/list_changed",
    [SLUICE_FILTER_TYPES_METHOD_NOTIFICATIONS_TOOLS_LIST_CHANGED] = "notifications/tools/list_changed",
    [SLUICE_FILTER_TYPES_METHOD_NOTIFICATIONS_PROMPTS_LIST_CHANGED] = "notifications/prompts/list_changed",
    [SLUICE_FILTER_TYPES_METHOD_NOTIFICATIONS_RESOURCES_LIST_CHANGED] = "notifications/resources/list_changed",
    [SLUICE_FILTER_TYPES_METHOD_NOTIFICATIONS_RESOURCES_UPDATED] = "notifications/resources/updated",
    [SLUICE_FILTER_TYPES_METHOD_NOTIFICATIONS_ELICITATION_COMPLETE] = "notifications/elicitation/complete",
    [SLUICE_FILTER_TYPES_METHOD_NOTIFICATIONS_TASKS_STATUS] = "notifications/tasks/status",
    [SLUICE_FILTER_TYPES_METHOD_NOTIFICATIONS_TASKS] = "notifications/tasks",
};

sluice_string_t sluice_method(const sluice_head_t *head) {
  return head->method.tag == SLUICE_FILTER_TYPES_METHOD_OTHER ? head->method.val.other : sluice_str(SLUICE_METHODS[head->method.tag]);
}

void sluice_manifest(sluice_manifest_t *m, const char *name, const char *version, const char *summary) {
  memset(m, 0, sizeof *m);
  m->name = sluice_copied(name);
  m->version = sluice_copied(version);
  m->summary = sluice_copied(summary);
  m->config_schema = sluice_copied("{\"type\":\"object\",\"additionalProperties\":false}");
}

void sluice_schema(sluice_manifest_t *m, const char *schema) {
  sluice_string_free(&m->config_schema);
  m->config_schema = sluice_copied(schema);
}

/* Room for one more. */
static void *sluice_one_more(void *list, size_t count, size_t size) {
  void *grown = realloc(list, (count + 1) * size);
  if (!grown) abort();
  memset((uint8_t *)grown + count * size, 0, size);
  return grown;
}

static void sluice_list_add(sluice_list_string_t *list, const char *text) {
  list->ptr = sluice_one_more(list->ptr, list->len, sizeof *list->ptr);
  list->ptr[list->len++] = sluice_copied(text);
}

void sluice_need(sluice_manifest_t *m, const char *capability, const char *reason, bool optional) {
  m->needs.ptr = sluice_one_more(m->needs.ptr, m->needs.len, sizeof *m->needs.ptr);
  exports_sluice_filter_describe_need_t *need = &m->needs.ptr[m->needs.len++];
  need->capability = sluice_copied(capability);
  need->reason = sluice_copied(reason);
  need->optional = optional;
}

void sluice_select(sluice_manifest_t *m, exports_sluice_filter_describe_hook_t hook, const char *method, const char *name) {
  m->selectors.ptr = sluice_one_more(m->selectors.ptr, m->selectors.len, sizeof *m->selectors.ptr);
  exports_sluice_filter_describe_selector_t *selector = &m->selectors.ptr[m->selectors.len++];
  selector->hook = hook;
  if (method) sluice_list_add(&selector->methods, method);
  if (name) sluice_list_add(&selector->names, name);
}

void sluice_route(sluice_manifest_t *m, const char *path, const char *method) {
  m->routes.ptr = sluice_one_more(m->routes.ptr, m->routes.len, sizeof *m->routes.ptr);
  exports_sluice_filter_describe_route_t *route = &m->routes.ptr[m->routes.len++];
  route->path = sluice_copied(path);
  sluice_list_add(&route->methods, method);
}

void sluice_edits(sluice_manifest_t *m, const char *glob) { sluice_list_add(&m->edits, glob); }

static exports_sluice_filter_on_outbound_value_t *sluice_header_value(sluice_outbound_verdict_t *v, const char *name) {
  v->val.next.ptr = sluice_one_more(v->val.next.ptr, v->val.next.len, sizeof *v->val.next.ptr);
  exports_sluice_filter_on_outbound_tuple2_string_value_t *header = &v->val.next.ptr[v->val.next.len++];
  header->f0 = sluice_copied(name);
  return &header->f1;
}

void sluice_header(sluice_outbound_verdict_t *v, const char *name, const char *value) {
  exports_sluice_filter_on_outbound_value_t *at = sluice_header_value(v, name);
  at->tag = EXPORTS_SLUICE_FILTER_ON_OUTBOUND_VALUE_TEXT;
  at->val.text = sluice_copied(value);
}

void sluice_header_secret(sluice_outbound_verdict_t *v, const char *name, const char *prefix, sluice_filter_secrets_own_secret_t secret) {
  exports_sluice_filter_on_outbound_value_t *at = sluice_header_value(v, name);
  at->tag = EXPORTS_SLUICE_FILTER_ON_OUTBOUND_VALUE_SECRET;
  at->val.secret.f0 = sluice_copied(prefix);
  at->val.secret.f1 = secret;
}

void sluice_chunk_splice(sluice_chunk_verdict_t *v, uint32_t chunk, uint32_t start, uint32_t end, const char *text) {
  if (v->tag != EXPORTS_SLUICE_FILTER_ON_CHUNK_CHUNK_VERDICT_EDIT) {
    memset(v, 0, sizeof *v);
    v->tag = EXPORTS_SLUICE_FILTER_ON_CHUNK_CHUNK_VERDICT_EDIT;
  }
  v->val.edit.ptr = sluice_one_more(v->val.edit.ptr, v->val.edit.len, sizeof *v->val.edit.ptr);
  exports_sluice_filter_on_chunk_splice_t *splice = &v->val.edit.ptr[v->val.edit.len++];
  splice->chunk = chunk;
  splice->start = start;
  splice->end = end;
  splice->text = sluice_copied(text);
}

/* The contract's exports, handed on to the plugin's functions; what was lent is freed behind them. */

void exports_sluice_filter_describe_describe(sluice_manifest_t *ret) { sluice_describe(ret); }

bool exports_sluice_filter_lifecycle_init(sluice_string_t *config, sluice_string_t *err) {
  bool done = sluice_init(*config, err);
  sluice_string_free(config);
  return done;
}

#ifdef SLUICE_AUTHENTICATE
void exports_sluice_filter_authenticate_authenticate(sluice_credential_t *c, sluice_exchange_t x, sluice_outcome_t *ret) {
  *ret = sluice_authenticate(c, x);
  exports_sluice_filter_authenticate_credential_free(c);
}
#endif

#ifdef SLUICE_ON_HTTP
void exports_sluice_filter_on_http_on_http(sluice_http_request_t *r, sluice_exchange_t x, sluice_http_response_t *ret) {
  *ret = sluice_on_http(r, x);
  exports_sluice_filter_on_http_request_free(r);
}
#endif

#ifdef SLUICE_ON_REQUEST
void exports_sluice_filter_on_request_on_request(sluice_head_t *h, sluice_exchange_t x, sluice_verdict_t *ret) {
  *ret = sluice_on_request(h, x);
  sluice_filter_types_head_free(h);
}
#endif

#ifdef SLUICE_ON_OUTBOUND
void exports_sluice_filter_on_outbound_on_outbound(sluice_departure_t d, sluice_exchange_t x, sluice_outbound_verdict_t *ret) {
  *ret = sluice_on_outbound(d, x);
}
#endif

#ifdef SLUICE_ON_RESPONSE
void exports_sluice_filter_on_response_on_response(sluice_head_t *h, sluice_exchange_t x, sluice_verdict_t *ret) {
  *ret = sluice_on_response(h, x);
  sluice_filter_types_head_free(h);
}
#endif

#ifdef SLUICE_ON_CHUNK
void exports_sluice_filter_on_chunk_on_chunk(sluice_head_t *h, sluice_batch_t b, sluice_exchange_t x, sluice_chunk_verdict_t *ret) {
  *ret = sluice_on_chunk(h, b, x);
  sluice_filter_types_head_free(h);
}
#endif

#ifdef SLUICE_ON_NOTIFICATION
void exports_sluice_filter_on_notification_on_notification(sluice_head_t *h, sluice_exchange_t x, sluice_notification_verdict_t *ret) {
  *ret = sluice_on_notification(h, x);
  sluice_filter_types_head_free(h);
}
#endif

#ifdef SLUICE_ON_CATALOG
void exports_sluice_filter_on_catalog_on_catalog(sluice_viewer_t v, sluice_list_kind_t kind, sluice_entries_t *entries, sluice_answer_t *ret) {
  *ret = sluice_on_catalog(v, kind, entries);
  exports_sluice_filter_on_catalog_list_entry_free(entries);
}
#endif

#ifdef SLUICE_ON_DONE
void exports_sluice_filter_on_done_on_done(sluice_head_t *h, sluice_done_t *d, sluice_exchange_t x) {
  sluice_on_done(h, d, x);
  sluice_filter_types_head_free(h);
  exports_sluice_filter_on_done_done_free(d);
}
#endif
