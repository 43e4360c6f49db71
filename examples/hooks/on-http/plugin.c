/* Answers at a path of its own. */
#define SLUICE_ON_HTTP
#define SLUICE_IMPLEMENTATION
#include <sluice.h>

void sluice_describe(sluice_manifest_t *m) {
  sluice_manifest(m, "example-on-http", "0.1.0", "Answers at a path of its own.");
  sluice_route(m, "/-/example-on-http/*", "GET");
  m->stateless = true;
}

bool sluice_init(sluice_string_t config, sluice_string_t *error) {
  (void)config, (void)error;
  return true;
}

sluice_http_response_t sluice_on_http(const sluice_http_request_t *request, sluice_exchange_t x) {
  (void)x;
  sluice_http_response_t response = {0};
  response.status = 404;
  if (!sluice_is(request->path, "/-/example-on-http/hello")) return response;
  sluice_buf_t body = {0};
  sluice_buf_add_text(&body, "{\"endpoint\": \"");
  sluice_buf_add(&body, request->base);
  sluice_buf_add_text(&body, "/mcp\"}");
  sluice_string_t text = sluice_buf_take(&body);
  response.status = 200;
  response.body.ptr = text.ptr;
  response.body.len = text.len;
  response.headers.ptr = calloc(1, sizeof *response.headers.ptr);
  if (!response.headers.ptr) abort();
  response.headers.len = 1;
  response.headers.ptr[0].f0 = sluice_copied("content-type");
  response.headers.ptr[0].f1 = sluice_copied("application/json");
  return response;
}
